// Whether a request was signed with a secret that the server knows: SigV4 in the Authorization header, checked in AWS's order
// and refused in its words. The SDK's own signer signs the request a second time, with the date and the headers that its sender
// chose; the canonical form is not written anew here. Loaded only when signatures are to be verified.
import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '@shardline/common/base';
import { SignatureV4 } from '@smithy/signature-v4';
import type { HttpRequest } from './http-exchange.ts';
import { WireError } from './wire-error.ts';

/** Rejects with a WireError for a request that AWS would refuse. */
export type VerifySignature = (request: HttpRequest, body: Buffer) => Promise<void>;

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 'kinesis';
const TERMINATOR = 'aws4_request';
const DATE_HEADER = 'x-amz-date';
const BODY_HASH_HEADER = 'x-amz-content-sha256';
const MAX_SKEW_MS = 300_000;
const BASIC_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** What an Authorization header says, with the date that stands beside it. */
interface Authorization {
  readonly accessKeyId: string;
  readonly region: string;
  /** In lower case. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly signedMs: number;
}

/** For requests that are signed with one of these secrets, by access key, within five minutes of the clock. */
export function signatureVerifier(secrets: ReadonlyMap<string, string>, clock: Clock): VerifySignature {
  const signers = new Map([...secrets].map(([accessKeyId, secret]) => [accessKeyId, signerFor(accessKeyId, secret)]));
  return async (request, body) => {
    const authorization = authorizationOf(request.headers);
    checkAge(authorization.signedMs, clock.wallNow());
    const signer = signers.get(authorization.accessKeyId);
    if (signer === undefined) {
      throw new WireError('UnrecognizedClientException', 'The security token included in the request is invalid.');
    }
    const expected = await signAgain(signer, authorization, request, body);
    if (!isSame(expected, authorization.signature)) {
      throw invalid(
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
          'and signing method. Consult the service documentation for details.',
      );
    }
  };
}

function signerFor(accessKeyId: string, secretAccessKey: string): SignatureV4 {
  const credentials = { accessKeyId, secretAccessKey };
  return new SignatureV4({ credentials, region: '', service: SERVICE, sha256: Sha256, applyChecksum: false });
}

/** @throws WireError for what is missing, malformed, or meant for another service */
function authorizationOf(headers: IncomingHttpHeaders): Authorization {
  const { authorization } = headers;
  if (authorization === undefined) {
    throw new WireError('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  const [algorithm, ...pairs] = authorization.split(/[, ]+/);
  const parameter = (name: string): string =>
    pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  const [credential, signature, signed] = [parameter('Credential'), parameter('Signature'), parameter('SignedHeaders')];
  const date = headerOf(headers, DATE_HEADER) ?? headers.date;
  if (credential === '' || signature === '' || signed === '' || date === undefined) {
    const parameters = { Credential: credential, Signature: signature, SignedHeaders: signed };
    const absent = Object.entries(parameters).filter(([, value]) => value === '');
    const sentences = absent.map(([name]) => `Authorization header requires '${name}' parameter. `);
    if (date === undefined) {
      sentences.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
    }
    throw incomplete(`${sentences.join('')}Authorization=${authorization}`);
  }
  if (algorithm !== ALGORITHM) throw incomplete(`Unsupported AWS 'algorithm': '${algorithm}'.`);
  const signedMs = timeOf(date);
  const { accessKeyId, region } = scopeOf(credential, signedMs);
  const signedHeaders = signed.toLowerCase().split(';');
  if (!signedHeaders.includes('host') && !signedHeaders.includes(':authority')) {
    throw invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  return { accessKeyId, region, signedHeaders, signature, signedMs };
}

/** Of `yyyyMMddTHHmmssZ`, or of what a Date header has. */
function timeOf(date: string): number {
  const timeMs = BASIC_DATE.test(date)
    ? Date.parse(date.replace(BASIC_DATE, '$1-$2-$3T$4:$5:$6Z'))
    : date.endsWith(' GMT')
      ? Date.parse(date)
      : Number.NaN;
  if (Number.isNaN(timeMs)) {
    throw incomplete(
      `Date must be in ISO-8601 'basic format'. Got '${date}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    );
  }
  return timeMs;
}

/** The region may be any: it says whose streams the request is about. */
function scopeOf(credential: string, signedMs: number): { accessKeyId: string; region: string } {
  const elements = credential.split('/');
  const [accessKeyId = '', day, region = '', service, terminator] = elements;
  if (elements.length !== 5) {
    const expected = 'Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term';
    throw incomplete(`${expected}, got '${credential}'`);
  }
  if (service !== SERVICE) throw invalid(`Credential should be scoped to correct service: '${SERVICE}'. `);
  if (terminator !== TERMINATOR) {
    throw invalid(`Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${terminator}'. `);
  }
  const signedAt = basicDate(signedMs);
  if (day !== signedAt.slice(0, 8)) {
    const differ = 'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP';
    throw invalid(`${differ}: '${day}' != '${signedAt.slice(0, 8)}', from '${signedAt}'.`);
  }
  return { accessKeyId, region };
}

function checkAge(signedMs: number, nowMs: number): void {
  const [signedAt, now] = [basicDate(signedMs), basicDate(nowMs)];
  const [earliestMs, latestMs] = [nowMs - MAX_SKEW_MS, nowMs + MAX_SKEW_MS];
  if (signedMs < earliestMs) {
    throw invalid(`Signature expired: ${signedAt} is now earlier than ${basicDate(earliestMs)} (${now} - 5 min.)`);
  }
  if (signedMs > latestMs) {
    throw invalid(
      `Signature not yet current: ${signedAt} is still later than ${basicDate(latestMs)} (${now} + 5 min.)`,
    );
  }
}

/** The signature that the request should have. */
async function signAgain(
  signer: SignatureV4,
  { region, signedHeaders, signedMs }: Authorization,
  { method = '', url = '/', headers }: HttpRequest,
  body: Buffer,
): Promise<string> {
  const signed = signedHeaders.map((name) => [name, headerOf(headers, name) ?? ''] as const);
  const [path = '', query = ''] = url.split(/\?(.*)/s);
  const request = {
    ...{ method, protocol: 'http:', hostname: '', path, query: queryOf(query), body },
    headers: { ...Object.fromEntries(signed), ...bodyHash(signedHeaders, body) },
  };
  const again = await signer.sign(request, {
    signingDate: new Date(signedMs),
    signingRegion: region,
    // The signer leaves some headers out, and the date in, unless told otherwise.
    signableHeaders: new Set(signedHeaders),
    unsignableHeaders: new Set(signedHeaders.includes(DATE_HEADER) ? [] : [DATE_HEADER]),
  });
  return again.headers['authorization']?.split('Signature=')[1] ?? '';
}

/** The signer believes this header, so it is given the truth. */
function bodyHash(signedHeaders: readonly string[], body: Buffer): Record<string, string> {
  return signedHeaders.includes(BODY_HASH_HEADER)
    ? { [BODY_HASH_HEADER]: createHash('sha256').update(body).digest('hex') }
    : {};
}

function queryOf(query: string): Record<string, string[]> {
  const parameters = new URLSearchParams(query);
  return Object.fromEntries([...parameters.keys()].map((name) => [name, parameters.getAll(name)]));
}

/** HTTP/2 has `:authority` in place of `host`; the SDK for JavaScript signs it by that name. */
function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const { host, ':authority': authority } = headers;
  if (name === 'host') return host ?? authority?.toString();
  if (name === ':authority') return authority?.toString() ?? host;
  return headers[name]?.toString();
}

/** `yyyyMMddTHHmmssZ` */
function basicDate(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

function isSame(one: string, other: string): boolean {
  const [bytes, otherBytes] = [Buffer.from(one), Buffer.from(other)];
  return bytes.length === otherBytes.length && timingSafeEqual(bytes, otherBytes);
}

function incomplete(message: string): WireError {
  return new WireError('IncompleteSignatureException', message);
}

function invalid(message: string): WireError {
  return new WireError('InvalidSignatureException', message);
}

/** SHA-256, keyed by a secret if there is one, in the shape that the signer asks for. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secretBytes(secret));
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

function secretBytes(secret: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof secret === 'string') return Buffer.from(secret);
  return ArrayBuffer.isView(secret)
    ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
    : new Uint8Array(secret);
}
