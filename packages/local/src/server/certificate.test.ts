import { X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import { createSecureContext } from 'node:tls';
import { expect, test } from 'vitest';
import { makeCertificate } from './certificate.ts';

const nowMs = Date.UTC(2026, 10, 21, 12, 30, 15);
const leafOf = (pem: string): X509Certificate => new X509Certificate(pem);

test('the authority is one, the leaf is none, and the one has signed the other', () => {
  const { authority, cert } = makeCertificate('127.0.0.1', nowMs);
  const [top, leaf] = [leafOf(authority), leafOf(cert)];
  expect([top.ca, leaf.ca]).toEqual([true, false]);
  expect(leaf.checkIssued(top)).toBe(true);
  expect(leaf.verify(top.publicKey)).toBe(true);
  expect(top.verify(top.publicKey)).toBe(true);
  expect(leaf.verify(leaf.publicKey)).toBe(false);
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
});

test('the key is the one of the leaf, and what the server shows is the leaf, then the authority', () => {
  const { authority, cert, key } = makeCertificate('127.0.0.1', nowMs);
  expect(cert.endsWith(authority)).toBe(true);
  expect(leafOf(cert).subject).toBe('CN=localhost');
  expect(() => createSecureContext({ cert, key })).not.toThrow();
});

test('it is valid from a day ago, for less than the 398 days that clients allow', () => {
  const { authority, cert } = makeCertificate('127.0.0.1', nowMs);
  for (const each of [leafOf(authority), leafOf(cert)]) {
    expect(new Date(each.validFrom).getTime()).toBe(nowMs - 86_400_000);
    expect(new Date(each.validTo).getTime()).toBe(nowMs + 396 * 86_400_000);
  }
});

test('dates of 2050 and later are written in four digits', () => {
  const late = Date.UTC(2049, 11, 31, 23, 59, 59);
  const { cert } = makeCertificate('127.0.0.1', late);
  expect(leafOf(cert).validFrom).toBe('Dec 30 23:59:59 2049 GMT');
  expect(leafOf(cert).validTo).toBe('Jan 31 23:59:59 2051 GMT');
});

test.each([
  ['127.0.0.1', ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1']],
  ['kinesis.test', ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1', 'DNS:kinesis.test']],
  [
    '2001:db8::a:0:1',
    ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1', 'IP Address:2001:DB8:0:0:0:A:0:1'],
  ],
])('listening on %s, it is for that, for localhost and the loopback addresses', (host, names) => {
  expect(leafOf(makeCertificate(host, nowMs).cert).subjectAltName?.split(', ')).toEqual(names);
});

test.each(['0.0.0.0', '::'])('listening on %s, it is for the name of the machine too', (host) => {
  const leaf = leafOf(makeCertificate(host, nowMs).cert);
  expect(leaf.checkHost(hostname())).toBe(hostname());
  expect(leaf.checkIP(host)).toBeUndefined();
});

test('serial numbers are 16 bytes, positive and never the same; two authorities have two names', () => {
  const made = Array.from({ length: 8 }, () => makeCertificate('127.0.0.1', nowMs));
  const serials = made.flatMap(({ authority, cert }) => [authority, cert].map((pem) => leafOf(pem).serialNumber));
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  expect(new Set(serials).size).toBe(16);
  expect(new Set(made.map(({ authority }) => leafOf(authority).subject)).size).toBe(8);
});
