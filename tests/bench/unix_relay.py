"""Makes a unix socket reachable at a loopback port, for clients that only speak TCP: unix_relay.py SOCKET PORT."""
import asyncio
import sys


async def pipe(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(reader, writer):
    up_reader, up_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer), return_exceptions=True)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
