"""Findings from contract, facts and readiness: what doctor, check and explain tell. It fixes nothing."""
