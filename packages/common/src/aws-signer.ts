// Signature version 4, as far as the short way needs it: a POST of a JSON text to `/` (AWS's IAM user guide, "Create a signed AWS
// API request"). It knows no request but that one, and no clock. The SDK's own signer is the oracle of its test.
import { createHash, createHmac, randomUUID } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What is the same in all requests of an operation. */
export interface Signed {
  /** Names in lower case, `host` and `content-type` among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly region: string;
  readonly service: string;
}

export class Signer {
  /** Of a day; it takes four hashes to make. */
  #key: Buffer | undefined;
  #keyOf = '';

  /** @returns all headers of the request. `wallNow`: milliseconds since 1970, by the service's clock. */
  sign(
    { headers: given, region, service }: Signed,
    identity: Credentials,
    body: string | Buffer,
    wallNow: number,
  ): Record<string, string> {
    const time = new Date(wallNow).toISOString().replace(/[-:]|\.\d{3}/g, '');
    const bodyHash = sha256(body);
    const headers: Record<string, string> = {
      ...given,
      'amz-sdk-invocation-id': randomUUID(),
      'content-length': String(Buffer.byteLength(body)),
      'x-amz-content-sha256': bodyHash,
      'x-amz-date': time,
    };
    if (identity.sessionToken !== undefined) headers['x-amz-security-token'] = identity.sessionToken;
    const names = Object.keys(headers).filter(isSigned).sort();
    const lines = names.map((name) => `${name}:${headers[name]?.trim().replace(/\s+/g, ' ')}\n`).join('');
    const signedNames = names.join(';');
    const canonical = `POST\n/\n\n${lines}\n${signedNames}\n${bodyHash}`;
    const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`;
    const signature = createHmac('sha256', this.#keyFor(scope, identity)).update(text).digest('hex');
    const credential = `${identity.accessKeyId}/${scope}`;
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedNames}, Signature=${signature}`;
    return headers;
  }

  #keyFor(scope: string, { secretAccessKey }: Credentials): Buffer {
    const keyOf = `${scope} ${secretAccessKey}`;
    if (this.#key === undefined || this.#keyOf !== keyOf) {
      let key: Buffer | string = `AWS4${secretAccessKey}`;
      for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
      this.#key = key as Buffer;
      this.#keyOf = keyOf;
    }
    return this.#key;
  }
}

function isSigned(name: string): boolean {
  return name === 'host' || name === 'content-type' || name.startsWith('x-amz-');
}

function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}
