// What a Node.js user writes for a chat of lines: each chunk goes to everybody else as it came.
// Usage: node node.js PORT
"use strict";
const net = require("net");
const peers = new Set();
const server = net.createServer({ noDelay: true }, (socket) => {
  peers.add(socket);
  socket.on("data", (chunk) => {
    for (const peer of peers) if (peer !== socket) peer.write(chunk);
  });
  socket.on("error", () => {});
  socket.on("close", () => peers.delete(socket));
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
