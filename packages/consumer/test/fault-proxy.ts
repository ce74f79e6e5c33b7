// A DynamoDB that misbehaves on demand: a proxy before the tests' own, which answers chosen requests with an error of the test's
// making and passes everything else on, over real sockets both ways.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ProxiedRequest {
  /** `UpdateItem`. */
  readonly operation: string;
  readonly accessKeyId: string;
  readonly body: string;
}

export interface Fault {
  /** `AccessDeniedException`. */
  readonly type: string;
  readonly message: string;
  /** Default 400. */
  readonly status?: number;
}

export interface FaultProxy {
  readonly endpoint: string;
  /** What to answer in the server's place; undefined: the server answers. */
  fault: (asked: ProxiedRequest) => Fault | undefined;
  close(): Promise<void>;
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const fault = proxy.fault({ ...readHeaders(incoming.headers), body: body.toString() });
    if (fault !== undefined) {
      outgoing.writeHead(fault.status ?? 400, { 'content-type': 'application/x-amz-json-1.0' });
      outgoing.end(JSON.stringify({ __type: `com.amazon.coral.service#${fault.type}`, message: fault.message }));
      return;
    }
    const { headers, method = 'POST', url = '/' } = incoming;
    const onward = request(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    onward.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: () => undefined,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

function readHeaders(headers: IncomingHttpHeaders): Pick<ProxiedRequest, 'operation' | 'accessKeyId'> {
  const operation = String(headers['x-amz-target']).split('.')[1] ?? '';
  const accessKeyId = /Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1] ?? '';
  return { operation, accessKeyId };
}
