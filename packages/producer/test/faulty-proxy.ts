// Stands between a producer and the local server, over real sockets, and spoils what a plan says: the answer is lost after the
// request was applied, the request is lost before, the service fails, answers slowly, or throttles the whole request.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** What becomes of a request; a name that ends in Exception or Failure is the service's answer to all of it. */
export type Fault =
  | 'none'
  | 'lose-answer'
  | 'lose-request'
  | 'never-answer'
  | 'forget-one-result'
  /** What is not Kinesis' answer: a proxy's page with that status, or nothing with it. */
  | `page:${number}`
  | `empty:${number}`
  /** The first record alone, with that code. */
  | `refuse-one:${string}`
  | 'InternalFailure'
  | 'ProvisionedThroughputExceededException'
  | 'AccessDeniedException'
  | 'ExpiredTokenException';

export interface FaultyProxy extends AsyncDisposable {
  readonly endpoint: string;
  /** PutRecords requests that arrived. */
  putCount(): number;
  /** Connections that were opened. */
  connectionCount(): number;
}

/** `plan` says what becomes of the n-th PutRecords, counted from 0, `planListing` the same of ListShards. */
export async function startFaultyProxy(
  targetPort: number,
  plan: (count: number) => Fault,
  planListing: (count: number) => Fault = () => 'none',
): Promise<FaultyProxy> {
  const sockets = new Set<Socket>();
  let putCount = 0;
  let listingCount = 0;
  let connectionCount = 0;
  const server = createServer((incoming, outgoing) => {
    const isPut = String(incoming.headers['x-amz-target'] ?? '').endsWith('.PutRecords');
    const fault = isPut ? plan(putCount++) : planListing(listingCount++);
    // A side that hangs up midway takes the other with it.
    pass(incoming, outgoing, targetPort, fault).catch(() => outgoing.destroy());
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
  if (fault.startsWith('page:') || fault.startsWith('empty:')) {
    const [kind, status] = fault.split(':');
    outgoing.writeHead(Number(status), kind === 'page' ? { 'content-type': 'text/html' } : {});
    outgoing.end(kind === 'page' ? '<html><body>a page</body></html>' : '');
    return;
  }
  if (!fault.includes(':') && (fault.endsWith('Exception') || fault === 'InternalFailure')) {
    const status = fault === 'InternalFailure' ? 500 : 400;
    outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
    outgoing.end(JSON.stringify({ __type: fault, message: 'spoiled' }));
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
  let text = Buffer.concat(answerBody).toString();
  if (fault === 'forget-one-result') {
    const results: { Records: unknown[] } = JSON.parse(text);
    text = JSON.stringify({ ...results, Records: results.Records.slice(1) });
  }
  if (fault.startsWith('refuse-one:')) {
    const results: { FailedRecordCount: number; Records: object[] } = JSON.parse(text);
    results.FailedRecordCount++;
    results.Records[0] = { ErrorCode: fault.slice('refuse-one:'.length), ErrorMessage: 'spoiled' };
    text = JSON.stringify(results);
  }
  outgoing.writeHead(answer.statusCode ?? 500, { 'content-type': 'application/x-amz-json-1.1' });
  outgoing.end(text);
}
