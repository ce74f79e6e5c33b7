// Stands between a producer and the local server, over real sockets, and spoils what a plan says: the answer is lost after the
// request was applied, the request is lost before, the service fails, answers slowly, or throttles the whole request.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type Fault = 'none' | 'lose-answer' | 'lose-request' | 'internal-failure' | 'throttle' | 'never-answer';

export interface FaultyProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** PutRecords requests that arrived. */
  putCount(): number;
  /** Connections that were opened. */
  connectionCount(): number;
}

/** `plan` says what becomes of the n-th PutRecords, counted from 0; other calls pass. */
export async function startFaultyProxy(targetPort: number, plan: (count: number) => Fault): Promise<FaultyProxy> {
  const sockets = new Set<Socket>();
  let putCount = 0;
  let connectionCount = 0;
  const server = createServer((incoming, outgoing) => {
    const isPut = String(incoming.headers['x-amz-target'] ?? '').endsWith('.PutRecords');
    void pass(incoming, outgoing, targetPort, isPut ? plan(putCount++) : 'none');
  });
  server.on('connection', (socket) => {
    connectionCount++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    putCount: () => putCount,
    connectionCount: () => connectionCount,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function pass(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  targetPort: number,
  fault: Fault,
): Promise<void> {
  const body: Buffer[] = [];
  for await (const chunk of incoming) body.push(chunk);
  if (fault === 'never-answer') return;
  if (fault === 'lose-request') {
    outgoing.destroy();
    return;
  }
  if (fault === 'internal-failure' || fault === 'throttle') {
    const type = fault === 'throttle' ? 'ProvisionedThroughputExceededException' : 'InternalFailure';
    outgoing.writeHead(fault === 'throttle' ? 400 : 500, { 'content-type': 'application/x-amz-json-1.1' });
    outgoing.end(JSON.stringify({ __type: type, message: 'spoiled' }));
    return;
  }
  const { method, url, headers } = incoming;
  const forwarded = sendRequest({ host: '127.0.0.1', port: targetPort, method, path: url, headers });
  forwarded.end(Buffer.concat(body));
  const [answer] = (await once(forwarded, 'response')) as [IncomingMessage];
  const answerBody: Buffer[] = [];
  for await (const chunk of answer) answerBody.push(chunk);
  if (fault === 'lose-answer') {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  outgoing.end(Buffer.concat(answerBody));
}
