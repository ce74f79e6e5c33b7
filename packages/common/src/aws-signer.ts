// Signature version 4, as far as the short way needs it: a POST of a JSON text to `/` (AWS's IAM user guide, "Create a signed AWS
// API request"). What is signed alike in all requests of an operation is put in order once, when the operation is learnt of; a
// request then costs three hashes. It knows no request but that one, and no clock. The SDK's own signer is the oracle of its test.
import { createHmac, createSecretKey, hash, type KeyObject, randomUUID } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What is the same in all requests of an operation. */
export interface Signed {
  /** As Node's `http.request` takes them: names and values in turn. */
  readonly headers: readonly string[];
  /** Of the canonical request: the lines before, between and after those of the headers that differ, whose names stand in this order. */
  readonly beforeBodyHash: string;
  readonly beforeDate: string;
  readonly beforeToken: string;
  readonly afterToken: string;
  /** Names, with a session token and without. */
  readonly signedNames: { readonly withToken: string; readonly withoutToken: string };
  readonly region: string;
  readonly service: string;
}

const BODY_HASH = 'x-amz-content-sha256';
const DATE = 'x-amz-date';
const TOKEN = 'x-amz-security-token';

/** @param headers names in lower case, `host` and `content-type` among them, the differing ones not. */
export function toBeSigned(headers: Readonly<Record<string, string>>, region: string, service: string): Signed {
  const names = Object.keys(headers).filter(isSigned).sort();
  const lines = (from: string, to: string): string =>
    names
      .filter((name) => name > from && name < to)
      .map((name) => `${name}:${headers[name]?.trim().replace(/\s+/g, ' ')}\n`)
      .join('');
  const withoutToken = [...names, BODY_HASH, DATE].sort();
  return {
    headers: Object.entries(headers).flat(),
    beforeBodyHash: lines('', BODY_HASH),
    beforeDate: lines(BODY_HASH, DATE),
    beforeToken: lines(DATE, TOKEN),
    afterToken: lines(TOKEN, '\uffff'),
    signedNames: { withToken: [...withoutToken, TOKEN].sort().join(';'), withoutToken: withoutToken.join(';') },
    region,
    service,
  };
}

export class Signer {
  /** Of a day; it takes four hashes to make. */
  #key: KeyObject | undefined;
  #keyOf = '';
  /** Of a second. */
  #time = '';
  #timeOf = Number.NaN;

  /** @returns all headers of the request, names and values in turn. `wallNow`: milliseconds since 1970, by the service's clock. */
  sign(signed: Signed, identity: Credentials, body: string | Buffer, wallNow: number): string[] {
    const { beforeBodyHash, beforeDate, beforeToken, afterToken, region, service } = signed;
    const { accessKeyId, sessionToken } = identity;
    const time = this.#timeAt(wallNow);
    const bodyHash = hash('sha256', body, 'hex');
    const names = sessionToken === undefined ? signed.signedNames.withoutToken : signed.signedNames.withToken;
    const token = sessionToken === undefined ? '' : `${TOKEN}:${sessionToken}\n`;
    const lines = `${beforeBodyHash}${BODY_HASH}:${bodyHash}\n${beforeDate}${DATE}:${time}\n${beforeToken}${token}${afterToken}`;
    const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
    const canonical = `POST\n/\n\n${lines}\n${names}\n${bodyHash}`;
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash('sha256', canonical, 'hex')}`;
    const signature = createHmac('sha256', this.#keyFor(scope, identity)).update(text).digest('hex');
    const headers = [
      ...signed.headers,
      'amz-sdk-invocation-id',
      randomUUID(),
      'content-length',
      String(Buffer.byteLength(body)),
      BODY_HASH,
      bodyHash,
      DATE,
      time,
      'authorization',
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
    ];
    if (sessionToken !== undefined) headers.push(TOKEN, sessionToken);
    return headers;
  }

  #keyFor(scope: string, { secretAccessKey }: Credentials): KeyObject {
    const keyOf = `${scope} ${secretAccessKey}`;
    if (this.#key === undefined || this.#keyOf !== keyOf) {
      let key: Buffer | string = `AWS4${secretAccessKey}`;
      for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
      this.#key = createSecretKey(key as Buffer);
      this.#keyOf = keyOf;
    }
    return this.#key;
  }

  /** `20260131T235959Z` */
  #timeAt(wallNow: number): string {
    const second = Math.floor(wallNow / 1000);
    if (second !== this.#timeOf) {
      this.#timeOf = second;
      this.#time = new Date(wallNow).toISOString().replace(/[-:]|\.\d{3}/g, '');
    }
    return this.#time;
  }
}

function isSigned(name: string): boolean {
  return name === 'host' || name === 'content-type' || name.startsWith('x-amz-');
}
