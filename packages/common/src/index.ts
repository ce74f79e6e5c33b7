export * from './aws-client.ts';
export * from './base.ts';
