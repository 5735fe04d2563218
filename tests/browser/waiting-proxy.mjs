/**
 * A proxy that stands between a browser and a sluice and can be told to misbehave as networks do: to refuse WebSockets or
 * event streams, to answer nobody, to cut what is open.
 */

import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

/**
 * @param {string} target where requests go
 * @param {(from: import('node:http').IncomingMessage, to: import('node:http').ServerResponse) => boolean | Promise<boolean>} [serve]
 *   answers a request itself and says so
 */
export async function startProxy(target, serve) {
  const { hostname, port } = new URL(target);
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const proxy = {
    base: '',
    /** Refuse upgrades, as a proxy does that knows no WebSocket. */
    blockSocket: false,
    /** Refuse event streams. */
    blockEvents: false,
    /** Take requests and never answer them. */
    deaf: false,
    /** What was asked, newest last. @type {string[]} */
    asked: [],
    /** Ends every open connection. */
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      proxy.cut();
      server.close();
      await once(server, 'close');
    },
  };
  const server = createServer(async (from, to) => {
    proxy.asked.push(`${from.method} ${from.url}`);
    if (proxy.deaf) return;
    if (serve && (await serve(from, to))) return;
    if (proxy.blockEvents && /\/events\?/.test(from.url ?? '')) return void to.writeHead(502).end('no streams here');
    // As it came: the host too, so that it is the page's own origin that sluice sees.
    const onward = request({ hostname, port, method: from.method, path: from.url, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => (to.headersSent ? to.destroy() : to.writeHead(502).end()));
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.on('upgrade', (from, client, head) => {
    proxy.asked.push(`UPGRADE ${from.url}`);
    if (proxy.deaf) return;
    if (proxy.blockSocket) return void client.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    const onward = connect(Number(port), hostname, () => {
      const headers = from.rawHeaders.map((text, n) => (n % 2 ? `${text}\r\n` : `${text}: `)).join('');
      onward.write(`${from.method} ${from.url} HTTP/1.1\r\n${headers}\r\n`);
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    for (const [one, other] of [[onward, client], [client, onward]]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  proxy.base = `http://127.0.0.1:${address.port}`;
  return proxy;
}
