// Stands in front of a DynamoDB on the loopback, passes every request on as it came, and counts: by table, by operation and by what
// row it is about, with what each would cost on demand.
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request is about: the lease row of a shard, the Leader row, another row by its key, or no single row. */
export type Subject = 'lease' | 'leader' | 'worker' | 'rows';

export interface Count {
  readonly table: string;
  /** `UpdateItem`, `Query`, … */
  readonly operation: string;
  readonly subject: Subject;
  /** Of a lease row. */
  readonly shardId: string | undefined;
  readonly isWrite: boolean;
  /** Of a call that writes several rows, each. */
  requests: number;
  /** Write or read request units (DynamoDB, read/write capacity modes): a write of 1 KB, a consistent read of 4 KB, or half for another. */
  units: number;
}

const WRITES: ReadonlySet<string> = new Set(['PutItem', 'UpdateItem', 'DeleteItem', 'BatchWriteItem']);
const READS: ReadonlySet<string> = new Set(['GetItem', 'Query', 'Scan', 'BatchGetItem']);

interface RequestBody {
  readonly TableName?: string;
  readonly ConsistentRead?: boolean;
  readonly Key?: { readonly leaseKey?: { readonly S?: string } };
  readonly Item?: { readonly leaseKey?: { readonly S?: string } };
  readonly Statements?: readonly Statement[];
}

/** A PartiQL UPDATE of a lease row: its key is the one text among the parameters. */
interface Statement {
  readonly Statement: string;
  readonly Parameters: readonly { readonly S?: string }[];
}

export class CountingProxy {
  readonly #server: Server;
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  #counts = new Map<string, Count>();

  static async start(endpoint: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(new URL(endpoint));
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => {
      const body: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => body.push(chunk));
      incoming.on('end', () => {
        const sent = Buffer.concat(body);
        const { hostname, port } = this.#target;
        const { method, url: path, headers } = incoming;
        const passed = request({ hostname, port, method, path, headers, agent: this.#agent }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          let answerBytes = 0;
          answer.on('data', (chunk: Buffer) => {
            answerBytes += chunk.length;
            outgoing.write(chunk);
          });
          answer.on('end', () => {
            outgoing.end();
            this.#count(incoming, sent, answerBytes);
          });
          answer.on('error', () => outgoing.destroy());
        });
        passed.on('error', () => outgoing.destroy());
        passed.end(sent);
      });
      incoming.on('error', () => outgoing.destroy());
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Forgets what was counted so far. */
  reset(): void {
    this.#counts = new Map();
  }

  counts(): readonly Count[] {
    return [...this.#counts.values()];
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #count(incoming: IncomingMessage, sent: Buffer, answerBytes: number): void {
    const operation = String(incoming.headers['x-amz-target'] ?? '').split('.')[1] ?? '';
    const { TableName, Key, Item, ConsistentRead, Statements } = JSON.parse(sent.toString()) as RequestBody;
    if (Statements !== undefined) {
      // Each costs what an update of its own does.
      for (const { Statement, Parameters } of Statements) {
        const table = /^UPDATE "([^"]+)"/.exec(Statement)?.[1];
        this.#add(table, operation, Parameters.find(({ S }) => S !== undefined)?.S, true, 1);
      }
      return;
    }
    const isWrite = WRITES.has(operation);
    if (!isWrite && !READS.has(operation)) return;
    // An answer in JSON is longer than its rows are in the table, for both sides alike.
    const blocks = Math.max(1, Math.ceil(answerBytes / 4096));
    const units = isWrite ? 1 : blocks * (ConsistentRead === true ? 1 : 0.5);
    this.#add(TableName, operation, (Key ?? Item)?.leaseKey?.S, isWrite, units);
  }

  #add(table: string | undefined, operation: string, row: string | undefined, isWrite: boolean, units: number): void {
    const shardId = row?.startsWith('shardId-') ? row : undefined;
    const subject = subjectOf(row, shardId);
    const key = [table, operation, subject, shardId].join(' ');
    const count = this.#counts.get(key) ?? {
      table: table ?? '',
      operation,
      subject,
      shardId,
      isWrite,
      requests: 0,
      units: 0,
    };
    this.#counts.set(key, count);
    count.requests += 1;
    count.units += units;
  }
}

function subjectOf(row: string | undefined, shardId: string | undefined): Subject {
  if (row === undefined) return 'rows';
  if (shardId !== undefined) return 'lease';
  return row === 'Leader' ? 'leader' : 'worker';
}
