// The certificate that a local server makes at its start, in memory: an authority for clients to trust, and under it a leaf for
// localhost, the loopback addresses and the host that it listens on. The authority signs this one leaf and its key is gone when
// this returns, so whoever trusts it trusts nothing else. P-256, which costs no time to make where RSA costs hundreds of
// milliseconds. The time is an argument; chance enters with the keys and the serial numbers.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import {
  addressBytes,
  contextTag,
  derBits,
  derBoolean,
  derBytes,
  derInteger,
  derObjectId,
  derSequence,
  derSet,
  derText,
  derTime,
  derValue,
} from './der.ts';
import type { ServerCertificate } from './tls-handshake.ts';

export interface MadeCertificate extends ServerCertificate {
  /** PEM, for clients to trust. The server shows it too, after its own. */
  readonly authority: string;
}

const DAY_MS = 86_400_000;
/** Clients whose clock is behind accept it too. */
const VALID_BEFORE_MS = DAY_MS;
/** Some clients refuse a server's certificate of more than 398 days. */
const VALID_AFTER_MS = 396 * DAY_MS;
const SERIAL_BYTES = 16;
const KEY_ID_BYTES = 20;

const oid = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

const signatureAlgorithm = derSequence(derObjectId(oid.ecdsaWithSha256));
/** The top bits of the first byte: digitalSignature is the first flag, keyCertSign the sixth. */
const digitalSignature = derBits(Buffer.from([0x80]), 7);
const keyCertSign = derBits(Buffer.from([0x04]), 2);

/** A certificate by which clients reach a server that listens on `host`, from a day ago on. */
export function makeCertificate(host: string, nowMs: number): MadeCertificate {
  const authorityKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leafKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authorityId = keyId(authorityKeys.publicKey);
  // A name of its own: a client may trust several, and some look them up by name alone.
  const issuer = name(`Shardline local ${authorityId.toString('hex', 0, 8)}`);
  const validity = derSequence(derTime(nowMs - VALID_BEFORE_MS), derTime(nowMs + VALID_AFTER_MS));
  const authority = signed({
    issuer,
    subject: issuer,
    validity,
    publicKey: authorityKeys.publicKey,
    signer: authorityKeys.privateKey,
    extensions: [
      critical(oid.basicConstraints, derSequence(derBoolean(true), derInteger(Buffer.of(0)))),
      critical(oid.keyUsage, keyCertSign),
      extension(oid.subjectKeyIdentifier, derBytes(authorityId)),
    ],
  });
  const leaf = signed({
    issuer,
    subject: name('localhost'),
    validity,
    publicKey: leafKeys.publicKey,
    signer: authorityKeys.privateKey,
    extensions: [
      critical(oid.basicConstraints, derSequence()),
      critical(oid.keyUsage, digitalSignature),
      extension(oid.extKeyUsage, derSequence(derObjectId(oid.serverAuth))),
      extension(oid.subjectAltName, derSequence(...namesOf(host).map(alternativeName))),
      extension(oid.subjectKeyIdentifier, derBytes(keyId(leafKeys.publicKey))),
      extension(oid.authorityKeyIdentifier, derSequence(derValue(contextTag.simple, authorityId))),
    ],
  });
  const key = leafKeys.privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { authority, cert: leaf + authority, key: key.toString() };
}

/** By which a client may know the server. One that listens everywhere is reached by all addresses of the machine. */
function namesOf(host: string): string[] {
  const own = ['localhost', '127.0.0.1', '::1'];
  if (host !== '0.0.0.0' && host !== '::') return [...new Set([...own, host])];
  const addresses = Object.values(networkInterfaces()).flatMap((found) => (found ?? []).map(({ address }) => address));
  return [...new Set([...own, hostname(), ...addresses])];
}

/** dNSName is [2], iPAddress is [7]. */
function alternativeName(text: string): Buffer {
  const address = addressBytes(text);
  return address === undefined
    ? derValue(contextTag.simple | 2, Buffer.from(text, 'latin1'))
    : derValue(contextTag.simple | 7, address);
}

interface Unsigned {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly validity: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, 4.1: the certificate of version 3 with its signature, as PEM. */
function signed({ issuer, subject, validity, publicKey, signer, extensions }: Unsigned): string {
  const version3 = derValue(contextTag.around, derInteger(Buffer.of(2)));
  const toSign = derSequence(
    version3,
    derInteger(serialNumber()),
    signatureAlgorithm,
    issuer,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    derValue(contextTag.around | 3, derSequence(...extensions)),
  );
  const certificate = derSequence(toSign, signatureAlgorithm, derBits(sign('sha256', toSign, signer)));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Positive, and of full length: a client may know a certificate by issuer and serial number. */
function serialNumber(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

/** RFC 7093, 2: a hash of the public key. */
function keyId(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest().subarray(0, KEY_ID_BYTES);
}

function name(commonName: string): Buffer {
  return derSequence(derSet(derSequence(derObjectId(oid.commonName), derText(commonName))));
}

function extension(id: string, value: Buffer): Buffer {
  return derSequence(derObjectId(id), derBytes(value));
}

function critical(id: string, value: Buffer): Buffer {
  return derSequence(derObjectId(id), derBoolean(true), derBytes(value));
}
