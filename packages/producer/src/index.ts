export type { ProducerOptions } from './options.ts';
export { type CloseOptions, Producer } from './producer.ts';
export {
  type Attempt,
  isPutError,
  type PutError,
  type PutResult,
  type UserRecordInput,
} from './user-record.ts';
