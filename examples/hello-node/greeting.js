"use strict";

// The greeting for a name, or for everybody.
exports.greeting = (name) => `Hello, ${(name || "world").trim()}!\n`;
