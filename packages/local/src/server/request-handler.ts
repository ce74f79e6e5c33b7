// From a request to its answer: read the body, find the format and the operation, run it, write what it says. The one place
// that turns errors into answers; whatever a client sends, the server lives on. Knows HTTP messages, not sockets.
import { randomUUID } from 'node:crypto';
import { type Clock, type Logger, systemClock } from '@shardline/common/base';
import type { RefuseRecord } from '../model/index.ts';
import { type Admin, answerAdmin, isAdminRequest } from './admin.ts';
import { type Caller, callerOf } from './caller.ts';
import type { Struck } from './faults/fault-plan.ts';
import { faultTargetOf } from './faults/fault-target.ts';
import type { FaultsOfServer } from './faults/local-faults.ts';
import { spoil } from './faults/spoil.ts';
import { contentTypes, formatFor } from './formats.ts';
import { type HttpReply, type HttpRequest, readBody } from './http-exchange.ts';
import { jsonFormat } from './json-format.ts';
import type { Models } from './models.ts';
import { operations } from './operations/index.ts';
import type { Answer, Operation } from './operations/operation.ts';
import type { VerifySignature } from './signature.ts';
import { feedSubscription, type WhenSafe } from './subscription-feed.ts';
import { describeError, isBug, serializationError, WireError } from './wire-error.ts';
import type { WireFormat, WireObject } from './wire-format.ts';

export interface Service {
  readonly models: Models;
  /** The models' time. */
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxBodyBytes: number;
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs: number;
  /** No answer shows what a loss of power could still take back. */
  readonly whenSafe: WhenSafe;
  /** Undefined when any signature will do, or none. */
  readonly verifySignature: VerifySignature | undefined;
  readonly faults: FaultsOfServer;
  /** Undefined: switched off. */
  readonly admin: Admin | undefined;
}

/** A request that was understood. */
interface Call {
  readonly name: string;
  readonly operation: Operation;
  readonly format: WireFormat;
  readonly input: unknown;
  readonly caller: Caller;
}

const LINGER_MS = 1_000;
const TARGET_PREFIX = 'Kinesis_20131202.';

/** Answers one request. Never rejects. */
export async function handleRequest(service: Service, request: HttpRequest, reply: HttpReply): Promise<void> {
  const requestId = randomUUID();
  // What fails on the socket itself has no one to be told to; 'close' follows and frees what was held.
  reply.on('error', (error) => service.logger.debug({ error, requestId }, 'the client went away'));
  const format = formatFor(request.headers['content-type']);
  // A client whose signature is too old sets its clock by this header.
  if (service.verifySignature) reply.setHeader('date', new Date(service.clock.wallNow()).toUTCString());
  try {
    const limits = { maxBytes: service.maxBodyBytes, timeoutMs: service.requestTimeoutMs, clock: systemClock };
    const body = await readBody(request, limits);
    if (service.admin !== undefined && isAdminRequest(request)) {
      answerAdmin(service.admin, request, body, reply);
      return;
    }
    const call = readCall(request, format, body);
    // AWS looks at the signature when the body has been parsed, and at its members after that.
    if (service.verifySignature) await service.verifySignature(request, body);
    const struck = strike(service, call);
    if (struck === undefined) sendAnswer(service, reply, requestId, call.format, apply(service, call));
    else {
      await spoil(struck, service.faults.holds, reply, {
        apply: (refuseRecord) => apply(service, call, refuseRecord),
        answer: (to, answer) => sendAnswer(service, to, requestId, call.format, answer),
        refuse: (to, error) => sendError(service, to, requestId, call.format, error),
      });
    }
  } catch (error) {
    sendError(service, reply, requestId, format ?? jsonFormat, error);
    if (!request.readableEnded) lingerOver(request);
  }
}

/** Reads on for a moment and keeps nothing, so that a client in the midst of sending sees the answer, then hangs up. */
function lingerOver(request: HttpRequest): void {
  request.resume();
  const cancel = systemClock.setTimer(() => request.destroy(), LINGER_MS, false);
  request.once('end', cancel);
  request.once('close', cancel);
}

function readCall(request: HttpRequest, format: WireFormat | undefined, body: Buffer): Call {
  const target = request.headers['x-amz-target'];
  if (request.method !== 'POST' || typeof target !== 'string') {
    throw new WireError('AccessDeniedException', 'Unable to determine service/operation name to be authorized', 403);
  }
  // AWS answers 404 to a content type that it does not speak, whatever the operation.
  if (format === undefined) {
    const message = `Content-Type ${request.headers['content-type'] ?? '(none)'}: expected ${contentTypes.join(' or ')}`;
    throw new WireError('UnknownOperationException', message, 404);
  }
  const name = target.startsWith(TARGET_PREFIX) ? target.slice(TARGET_PREFIX.length) : '';
  const operation = operations.get(name);
  if (operation === undefined) throw new WireError('UnknownOperationException', `Unknown operation ${target}`);
  return { name, operation, format, input: parsed(format, body), caller: callerOf(request.headers.authorization) };
}

function apply({ models, clock }: Service, call: Call, refuseRecord?: RefuseRecord): Answer {
  const { name, operation, input, format, caller } = call;
  return operation(input, format, { operation: name, models, now: clock.wallNow(), caller, refuseRecord });
}

/** The faults that this request meets. */
function strike({ faults, models }: Service, { name, input, caller }: Call): Struck | undefined {
  return faults.strike((now) => faultTargetOf(name, input, caller, (owner) => models.peek(owner), now));
}

function parsed(format: WireFormat, body: Buffer): unknown {
  try {
    return format.parse(body);
  } catch (error) {
    throw serializationError(`The body does not parse: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function sendAnswer(service: Service, reply: HttpReply, requestId: string, format: WireFormat, answer: Answer): void {
  const safe = service.whenSafe();
  if (safe === undefined) writeAnswer(service, reply, requestId, format, answer);
  else {
    safe
      .then(() => writeAnswer(service, reply, requestId, format, answer))
      .catch((error: unknown) => sendError(service, reply, requestId, format, error));
  }
}

function writeAnswer(service: Service, reply: HttpReply, requestId: string, format: WireFormat, answer: Answer): void {
  switch (answer.kind) {
    case 'subscription':
      feedSubscription(answer.subscription, reply, requestId, service.clock, service.whenSafe);
      break;
    case 'members':
      send(reply, 200, requestId, format, format.serialize(answer.members));
      break;
    case 'empty':
      send(reply, 200, requestId, format, Buffer.alloc(0));
      break;
  }
}

function sendError(service: Service, reply: HttpReply, requestId: string, format: WireFormat, error: unknown): void {
  const { type, message, status } = describeError(error);
  if (isBug(error)) service.logger.error({ error, requestId }, 'a request failed by a bug of the server');
  if (reply.headersSent) {
    reply.destroy();
    return;
  }
  send(reply, status, requestId, format, format.serialize(errorMembers(type, message)));
}

/** AWS spells the message of this one with a capital. */
function errorMembers(type: string, message: string): WireObject {
  return type === 'SerializationException' ? { __type: type, Message: message } : { __type: type, message };
}

function send(reply: HttpReply, status: number, requestId: string, format: WireFormat, body: Buffer): void {
  reply.writeHead(status, {
    'content-type': format.contentType,
    'content-length': body.length,
    'x-amzn-requestid': requestId,
  });
  reply.end(body);
}
