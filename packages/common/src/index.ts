export * from './aws-client.ts';
export {
  READ_ANSWER,
  READ_CBOR,
  type ReadAnswer,
  type ReadCbor,
  sendsShortly,
  wasSentShortly,
} from './aws-shortcut.ts';
export * from './base.ts';
export { CborError, CborReader, NOT_PLAIN } from './cbor-reader.ts';
export * from './credentials.ts';
