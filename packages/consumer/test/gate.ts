// A gate of the loopback before the local Kinesis and DynamoDB, which lets through what IAM policies allow and answers everything else
// as AWS does. The policies are those of docs/permissions.md. What was asked for is kept, by action and resource.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request as forward, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { LocalClientConfig } from '@shardline/local';
import { decode } from 'cborg';

interface Statement {
  readonly Action: readonly string[];
  readonly Resource: string;
}

const page = readFileSync(new URL('../../../docs/permissions.md', import.meta.url), 'utf8');

/** The policy under a heading of the page, for one application and one stream. */
export function documentedPolicy(heading: string, application: string, stream: string): Statement[] {
  const section = page.split('\n## ').find((each) => each.startsWith(`${heading}\n`));
  const json = /```json\n(.*?)```/s.exec(section ?? '')?.[1];
  if (json === undefined) throw new Error(`docs/permissions.md has no policy under "${heading}"`);
  const filled = json
    .replaceAll('REGION', 'us-east-1')
    .replaceAll('ACCOUNT', '000000000000')
    .replaceAll('APPLICATION', application)
    .replaceAll('STREAM', stream);
  return (JSON.parse(filled) as { Statement: Statement[] }).Statement;
}

/** `dynamodb:GetItem arn:…`, one for each action of each statement. */
export function permissionsOf(statements: readonly Statement[]): string[] {
  return statements.flatMap(({ Action, Resource }) => Action.map((action) => `${action} ${Resource}`)).sort();
}

export class Gate {
  readonly allowed = new Set<string>();
  readonly used = new Set<string>();
  readonly denied = new Set<string>();
  readonly #server: Server;
  readonly #upstream: { readonly kinesis: string; readonly dynamodb: string };
  readonly #stream: string;

  private constructor(upstream: { kinesis: string; dynamodb: string }, stream: string) {
    this.#upstream = upstream;
    this.#stream = stream;
    this.#server = createServer((request, response) => {
      this.#pass(request, response).catch(() => response.destroy());
    });
  }

  /** @param stream whose iterators these are: GetRecords by an iterator alone does not say. */
  static async open(upstream: { kinesis: string; dynamodb: string }, stream: string): Promise<Gate> {
    const gate = new Gate(upstream, stream);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  allow(statements: readonly Statement[]): void {
    for (const permission of permissionsOf(statements)) this.allowed.add(permission);
  }

  get clientConfig(): LocalClientConfig {
    const { port } = this.#server.address() as AddressInfo;
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    return { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const [service = '', operation = ''] = String(request.headers['x-amz-target']).split('.');
    const isKinesis = service.startsWith('Kinesis');
    const isCbor = request.headers['content-type'] === 'application/x-amz-cbor-1.1';
    const permission = isKinesis
      ? this.#onStream(operation, isCbor ? decode(body) : JSON.parse(body.toString()))
      : onTable(operation, body);
    if (!this.allowed.has(permission)) {
      this.denied.add(permission);
      const [action, resource] = permission.split(' ');
      const message = `User: test is not authorized to perform: ${action} on resource: ${resource}`;
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify({ __type: 'AccessDeniedException', message, Message: message }));
      return;
    }
    this.used.add(permission);
    const url = isKinesis ? this.#upstream.kinesis : this.#upstream.dynamodb;
    const onward = forward(url, { method: 'POST', headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    onward.end(body);
  }

  #onStream(operation: string, asked: Record<string, string>): string {
    const { StreamARN, StreamName = this.#stream, ConsumerARN } = asked;
    const arn = StreamARN ?? `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
    const ofConsumer = ConsumerARN !== undefined || operation === 'DescribeStreamConsumer';
    return `kinesis:${operation} ${ofConsumer ? `${arn}/consumer/*` : arn}`;
  }
}

function onTable(operation: string, body: Buffer): string {
  if (operation === 'BatchExecuteStatement') return ofStatements(body);
  const { TableName, IndexName } = JSON.parse(body.toString()) as Record<string, string>;
  const index = IndexName === undefined ? '' : `/index/${IndexName}`;
  return `dynamodb:${operation} arn:aws:dynamodb:us-east-1:000000000000:table/${TableName}${index}`;
}

/** PartiQL is allowed by what a statement does to which table; all of ours in a call say the same. */
function ofStatements(body: Buffer): string {
  const { Statements } = JSON.parse(body.toString()) as { Statements: { Statement: string }[] };
  const [, verb = '', table = ''] = /^(\w+) "([^"]+)"/.exec(Statements[0]?.Statement ?? '') ?? [];
  const action = verb.charAt(0) + verb.slice(1).toLowerCase();
  return `dynamodb:PartiQL${action} arn:aws:dynamodb:us-east-1:000000000000:table/${table}`;
}
