"""What a Python user writes for a chat of lines: asyncio's protocol classes, each chunk of whole
lines to everybody else. Usage: python3 asyncio_chat.py PORT"""

import asyncio
import sys

peers = {}


class Peer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""
        peers[self] = transport.write

    def data_received(self, data):
        whole, newline, self.rest = (self.rest + data).rpartition(b"\n")
        if newline:
            for peer, write in peers.items():
                if peer is not self:
                    write(whole + newline)

    def connection_lost(self, error):
        peers.pop(self, None)


async def main():
    loop = asyncio.get_running_loop()
    port = int(sys.argv[1])
    server = await loop.create_server(Peer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


asyncio.run(main())
