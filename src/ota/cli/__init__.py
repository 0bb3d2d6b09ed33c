"""Commands: parse flags, call one function, choose a renderer, map the outcome to an exit code."""
