import { createHash, createHmac } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManualClock } from '../manual-clock.ts';
import type { HttpRequest } from './http-exchange.ts';
import { signatureVerifier } from './signature.ts';

const nowMs = Date.UTC(2026, 10, 21, 12, 0, 0);
const date = '20261121T120000Z';
const scope = '20261121/eu-west-1/kinesis/aws4_request';
const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const body = Buffer.from('{"StreamName":"orders"}');
const baseHeaders = { host: '127.0.0.1:4567', 'x-amz-date': date, 'x-amz-target': 'Kinesis_20131202.ListShards' };
const verify = signatureVerifier(new Map([['AKID', secret]]), new ManualClock(nowMs));

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/** By the recipe of the IAM user guide, and with nothing of the SDK. */
function signatureOf(
  headers: Readonly<Record<string, string>>,
  signed: readonly string[],
  bodyHash = sha256(body),
  [path, query]: readonly [string, string] = ['/', ''],
): string {
  const lines = signed.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}\n`);
  const canonical = ['POST', path, query, lines.join(''), signed.join(';'), bodyHash].join('\n');
  const key = scope.split('/').reduce<string | Buffer>((parent, part) => hmac(parent, part), `AWS4${secret}`);
  return hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex');
}

function authorization(signature: string, signed: readonly string[], credential = `AKID/${scope}`): string {
  return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signed.join(';')}, Signature=${signature}`;
}

function requestWith(headers: Record<string, string>, url = '/'): HttpRequest {
  return Object.assign(Readable.from([]), { method: 'POST', url, headers });
}

const usual = ['host', 'x-amz-date', 'x-amz-target'];
const good = authorization(signatureOf(baseHeaders, usual), usual);

test('a request that is signed by the recipe passes', async () => {
  await verify(requestWith({ ...baseHeaders, authorization: good, 'user-agent': 'not signed' }), body);
});

test.each<[string, Record<string, string>, string?, [string, string]?]>([
  ['spaces in a value', { 'x-amz-note': '  two   words ' }],
  ['a header that signers mostly leave out', { 'user-agent': 'aws-sdk-java/1.11', connection: 'keep-alive' }],
  ['the hash of the body', { 'x-amz-content-sha256': sha256(body) }],
  ['a session token', { 'x-amz-security-token': 'a/b+c==' }],
  ['a path', {}, '/some/path', ['/some/path', '']],
  ['a path that is encoded', {}, '/a%20b/', ['/a%2520b/', '']],
  ['a query, sorted and encoded anew', {}, '/?b=2&a=x%20y&a=1', ['/', 'a=1&a=x%20y&b=2']],
])('%s is signed too', async (_, more, url, canonical) => {
  const headers: Record<string, string> = { ...baseHeaders, ...more };
  const signed = Object.keys(headers).sort();
  const signature = signatureOf(headers, signed, sha256(body), canonical);
  await verify(requestWith({ ...headers, authorization: authorization(signature, signed) }, url), body);
});

test('HTTP/2 has :authority for host, and either may have been signed', async () => {
  const { host, ...others } = baseHeaders;
  for (const name of ['host', ':authority']) {
    const signed = [name, 'x-amz-date', 'x-amz-target'];
    const signature = signatureOf({ ...others, [name]: host }, signed);
    const headers = { ...others, ':authority': host, authorization: authorization(signature, signed) };
    await verify(requestWith(headers), body);
  }
});

test('a Date header does in place of X-Amz-Date', async () => {
  const { 'x-amz-date': _, ...others } = baseHeaders;
  const signed = ['host', 'x-amz-target'];
  const signature = signatureOf(others, signed);
  const headers = { ...others, date: new Date(nowMs).toUTCString(), authorization: authorization(signature, signed) };
  await verify(requestWith(headers), body);
});

const mismatch =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and ' +
  'signing method. Consult the service documentation for details.';

test('whatever is changed on the way, a signed header, the path or the body, the signature no longer matches', async () => {
  const headers: Record<string, string> = { ...baseHeaders, authorization: good };
  const changed = { message: mismatch, type: 'InvalidSignatureException', status: 400 };
  await expect(verify(requestWith(headers), Buffer.from('{"StreamName":"others"}'))).rejects.toMatchObject(changed);
  await expect(verify(requestWith(headers, '/x'), body)).rejects.toMatchObject(changed);
  for (const name of ['host', 'x-amz-target']) {
    await expect(verify(requestWith({ ...headers, [name]: 'x' }), body)).rejects.toMatchObject(changed);
    const { [name]: __, ...without } = headers;
    await expect(verify(requestWith(without), body)).rejects.toMatchObject(changed);
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (bytes) => {
      fc.pre(!body.equals(bytes));
      await expect(verify(requestWith(headers), Buffer.from(bytes))).rejects.toMatchObject(changed);
    }),
  );
});

test('a signed hash of the body that is not the body’s, or none at all, is no way round the body', async () => {
  for (const claimed of [sha256('other'), 'UNSIGNED-PAYLOAD']) {
    const headers = { ...baseHeaders, 'x-amz-content-sha256': claimed };
    const signed = Object.keys(headers).sort();
    const signature = signatureOf(headers, signed, claimed);
    const request = requestWith({ ...headers, authorization: authorization(signature, signed) });
    await expect(verify(request, body)).rejects.toMatchObject({ message: mismatch });
  }
});

test.each([
  ['garbage', 'X'],
  ['a signature that is too short', good.slice(0, -1)],
  ['a signature in capitals', good.replace(/[0-9a-f]{64}$/, (hex) => hex.toUpperCase())],
])('no signature but the right one passes: %s', async (_, value) => {
  await expect(verify(requestWith({ ...baseHeaders, authorization: value }), body)).rejects.toThrow();
});

test.each([
  [undefined, 'MissingAuthenticationTokenException', 'Missing Authentication Token'],
  [
    'X',
    'IncompleteSignatureException',
    "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
      "Authorization header requires 'SignedHeaders' parameter. Authorization=X",
  ],
  [
    'AWS4- Signature=b,Credential=a',
    'IncompleteSignatureException',
    "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4- Signature=b,Credential=a",
  ],
  [good.replace('SHA256', 'SHA1'), 'IncompleteSignatureException', "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'."],
  [
    authorization('0', usual, 'AKID/20261121/kinesis/aws4_request'),
    'IncompleteSignatureException',
    'Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got ' +
      "'AKID/20261121/kinesis/aws4_request'",
  ],
  [
    authorization('0', usual, 'AKID/20261121/eu-west-1/dynamodb/aws4_request'),
    'InvalidSignatureException',
    "Credential should be scoped to correct service: 'kinesis'. ",
  ],
  [
    authorization('0', usual, 'AKID/20261121/eu-west-1/kinesis/aws4'),
    'InvalidSignatureException',
    "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. ",
  ],
  [
    authorization('0', usual, 'AKID/20261120/eu-west-1/kinesis/aws4_request'),
    'InvalidSignatureException',
    'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ' +
      "'20261120' != '20261121', from '20261121T120000Z'.",
  ],
  [
    authorization('0', ['x-amz-date']),
    'InvalidSignatureException',
    "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
  ],
  [
    authorization('0', usual, `OTHER/${scope}`),
    'UnrecognizedClientException',
    'The security token included in the request is invalid.',
  ],
  [authorization('0', usual), 'InvalidSignatureException', mismatch],
])('%j is refused with 400 and AWS’s words', async (value, type, message) => {
  const headers = { ...baseHeaders, ...(value !== undefined && { authorization: value }) };
  await expect(verify(requestWith(headers), body)).rejects.toMatchObject({ type, message, status: 400 });
});

test('a request without any date, or with one that is none', async () => {
  const { 'x-amz-date': _, ...others } = baseHeaders;
  await expect(verify(requestWith({ ...others, authorization: good }), body)).rejects.toMatchObject({
    type: 'IncompleteSignatureException',
    message: `Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=${good}`,
  });
  for (const bad of ['yesterday', '2026', '2026-11-21T12:00:00Z', '20261321T120000Z']) {
    const headers = { ...baseHeaders, 'x-amz-date': bad, authorization: good };
    await expect(verify(requestWith(headers), body)).rejects.toMatchObject({
      type: 'IncompleteSignatureException',
      message: `Date must be in ISO-8601 'basic format'. Got '${bad}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    });
  }
});

test('a signature is good for five minutes, before and after', async () => {
  const clock = new ManualClock(nowMs - 300_000);
  const early = signatureVerifier(new Map([['AKID', secret]]), clock);
  const request = requestWith({ ...baseHeaders, authorization: good });
  await early(request, body);
  clock.advance(600_000);
  await early(request, body);
  clock.advance(1_000);
  await expect(early(request, body)).rejects.toMatchObject({
    type: 'InvalidSignatureException',
    message: 'Signature expired: 20261121T120000Z is now earlier than 20261121T120001Z (20261121T120501Z - 5 min.)',
  });
  const late = signatureVerifier(new Map([['AKID', secret]]), new ManualClock(nowMs - 301_000));
  await expect(late(request, body)).rejects.toMatchObject({
    type: 'InvalidSignatureException',
    message:
      'Signature not yet current: 20261121T120000Z is still later than 20261121T115959Z (20261121T115459Z + 5 min.)',
  });
});
