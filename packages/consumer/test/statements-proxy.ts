// A DynamoDB that takes several renewals in one call, whatever stands behind it: AWS's DynamoDB Local is asked as it is; for dynalite,
// which knows no PartiQL, each statement of ours is carried out as the UpdateItem that says the same. On demand it misbehaves: calls are
// refused, statements fail alone, answers get lost or come otherwise than they should. Real sockets both ways.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';

type Item = Record<string, AttributeValue>;

export interface StatementAnswer {
  readonly TableName?: string;
  Item?: Item;
  Error?: { readonly Code: string; readonly Message: string; readonly Item?: Item };
}

export interface StatementsProxy {
  readonly endpoint: string;
  /** Of each call since the last `forget`, the operation and the keys of the rows it writes. */
  readonly calls: { readonly operation: string; readonly leaseKeys: readonly string[] }[];
  forget(): void;
  /** What a call for many is refused with, as a whole. */
  refusal: { readonly type: string; readonly message: string; readonly status?: number } | undefined;
  /** What the statement about a row is answered with, without being carried out. */
  failure: (leaseKey: string) => StatementAnswer['Error'] | undefined;
  /** Changes the answer to a call for many. */
  tamper: (answers: StatementAnswer[]) => StatementAnswer[];
  /** So many answers to calls for many get lost once they were carried out. */
  losesAnswers: number;
  close(): Promise<void>;
}

interface StatementRequest {
  readonly Statement: string;
  readonly Parameters: readonly AttributeValue[];
}

const OURS =
  /^UPDATE "([^"]+)" SET "leaseCounter" = \?( SET "throughputKBps" = \?)? WHERE "leaseKey" = \? AND "leaseCounter" = \?( AND "checkpointOwner" IS MISSING)? RETURNING ALL NEW \*$/;

/** @param hasPartiQL whether the server behind is asked as it is. */
export async function startStatementsProxy(target: string, hasPartiQL: boolean): Promise<StatementsProxy> {
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const operation = String(incoming.headers['x-amz-target']).split('.')[1] ?? '';
    const input = JSON.parse(body.toString()) as { Key?: Item; Statements?: StatementRequest[] };
    const { Statements: statements } = input;
    const leaseKeys = statements?.map(keyOf) ?? [input.Key?.['leaseKey']?.S ?? ''];
    proxy.calls.push({ operation, leaseKeys });
    const answer = (status: number, text: string): void => {
      outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(text);
    };
    if (statements === undefined) {
      const { status, text } = await post(target, incoming.headers, body);
      answer(status, text);
      return;
    }
    if (proxy.refusal !== undefined) {
      const { type, message, status = 400 } = proxy.refusal;
      answer(status, JSON.stringify({ __type: `com.amazon.coral.service#${type}`, message }));
      return;
    }
    const carriedOut = statements.filter((statement) => proxy.failure(keyOf(statement)) === undefined);
    const answers = hasPartiQL
      ? await runStatements(target, incoming.headers, carriedOut)
      : await Promise.all(carriedOut.map((statement) => runAsUpdate(target, incoming.headers, statement)));
    if (proxy.losesAnswers > 0) {
      proxy.losesAnswers -= 1;
      outgoing.destroy();
      return;
    }
    const all = statements.map((statement): StatementAnswer => {
      const failure = proxy.failure(keyOf(statement));
      return failure === undefined ? (answers.shift() as StatementAnswer) : { Error: failure };
    });
    answer(200, JSON.stringify({ Responses: proxy.tamper(all) }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: StatementsProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    forget: () => void proxy.calls.splice(0),
    refusal: undefined,
    failure: () => undefined,
    tamper: (answers) => answers,
    losesAnswers: 0,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

async function runStatements(
  target: string,
  headers: IncomingHttpHeaders,
  statements: readonly StatementRequest[],
): Promise<StatementAnswer[]> {
  if (statements.length === 0) return [];
  const { status, text } = await post(target, headers, JSON.stringify({ Statements: statements }));
  if (status !== 200) throw new Error(text);
  return (JSON.parse(text) as { Responses: StatementAnswer[] }).Responses;
}

async function runAsUpdate(
  target: string,
  headers: IncomingHttpHeaders,
  { Statement, Parameters }: StatementRequest,
): Promise<StatementAnswer> {
  const said = OURS.exec(Statement);
  if (said === null) return { Error: { Code: 'ValidationError', Message: `not one of ours: ${Statement}` } };
  const [, TableName, throughput, unlessHandedOff] = said;
  const [next, ...others] = Parameters;
  const [kBps] = throughput === undefined ? [] : others.splice(0, 1);
  const [leaseKey, counter] = others;
  const update = {
    TableName,
    Key: { leaseKey },
    UpdateExpression: `SET leaseCounter = :next${kBps === undefined ? '' : ', throughputKBps = :kBps'}`,
    ConditionExpression: `leaseCounter = :counter${unlessHandedOff === undefined ? '' : ' AND attribute_not_exists(checkpointOwner)'}`,
    ExpressionAttributeValues: { ':next': next, ':counter': counter, ...(kBps !== undefined && { ':kBps': kBps }) },
    ReturnValues: 'ALL_NEW',
  };
  const asUpdate = { ...headers, 'x-amz-target': 'DynamoDB_20120810.UpdateItem' };
  const { status, text } = await post(target, asUpdate, JSON.stringify(update));
  const answer = JSON.parse(text) as { Attributes?: Item; __type?: string; message?: string };
  if (status === 200) return { TableName: TableName as string, Item: answer.Attributes as Item };
  const name = answer.__type?.split('#')[1] ?? '';
  const Code = name === 'ConditionalCheckFailedException' ? 'ConditionalCheckFailed' : name.replace('Exception', '');
  return { Error: { Code, Message: answer.message ?? '' } };
}

/** The key is what the condition names first. */
function keyOf({ Parameters }: StatementRequest): string {
  return Parameters.find((parameter) => parameter.S !== undefined)?.S ?? '';
}

async function post(
  target: string,
  { 'content-length': _, ...headers }: IncomingHttpHeaders,
  body: string | Buffer,
): Promise<{ status: number; text: string }> {
  const onward = request(target, {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
  });
  onward.end(body);
  const [answer] = await once(onward, 'response');
  return { status: answer.statusCode ?? 500, text: (await buffer(answer)).toString() };
}
