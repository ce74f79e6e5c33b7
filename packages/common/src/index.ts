export * from './aws-client.ts';
export { READ_ANSWER, type ReadAnswer } from './aws-shortcut.ts';
export * from './base.ts';
export * from './credentials.ts';
