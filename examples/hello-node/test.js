"use strict";

const assert = require("assert");
const { greeting } = require("./greeting");

assert.strictEqual(greeting(null), "Hello, world!\n");
assert.strictEqual(greeting(" Ada "), "Hello, Ada!\n");
console.log("2 greetings are right");
