"use strict";

const http = require("http");
const { greeting } = require("./greeting");

const server = http.createServer((request, response) => {
  const name = new URL(request.url, "http://localhost").searchParams.get("name");
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Connection", "close"); // so that stopping waits for no idle connection
  response.end(greeting(name));
});

// Port 0: the system chooses.
server.listen(0, "127.0.0.1");
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
