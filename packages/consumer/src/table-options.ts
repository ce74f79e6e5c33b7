// The options about the tables that a consumer makes: part of `options.ts`, under the KCL's names (LeaseManagementConfig). They hold
// for the lease table and for the two tables beside it in a fleet of the KCL 3.0 to 3.4; a table that is there stays as it is, but
// for point-in-time recovery, which the KCL turns on at every start.
// Invariant: what is read here DynamoDB accepts (API_CreateTable, API_Tag).
import { checkFlag, checkWord, describe, UsageError } from '@shardline/common';
import type { TableSettings } from './lease-table/control.ts';

export interface LeaseTableOptions {
  /** How a table is paid for that is made: on demand (the default), or provisioned with the capacities below. */
  readonly billingMode?: 'PAY_PER_REQUEST' | 'PROVISIONED';
  /** Read capacity units of a provisioned table, and of its owner index: from 1, default 10. With PROVISIONED alone. */
  readonly initialLeaseTableReadCapacity?: number;
  /** Write capacity units of a provisioned table, and of its owner index: from 1, default 10. With PROVISIONED alone. */
  readonly initialLeaseTableWriteCapacity?: number;
  /** Whether a table that is made is protected from being deleted. Default false. */
  readonly leaseTableDeletionProtectionEnabled?: boolean;
  /**
   * Whether point-in-time recovery is turned on, at every start, for the lease table (others: when they are made). A worker that may
   * not do that (dynamodb:UpdateContinuousBackups) says so in a warning and works all the same. Default false.
   */
  readonly leaseTablePitrEnabled?: boolean;
  /** Tags of a table that is made, by key: up to 50. Needs dynamodb:TagResource beside dynamodb:CreateTable. Default none. */
  readonly tags?: Readonly<Record<string, string>>;
}

export const tableOptionNames = [
  'billingMode',
  'leaseTableDeletionProtectionEnabled',
  'leaseTablePitrEnabled',
  'tags',
] as const;

const MOST_TAGS = 50;
const LONGEST_TAG_KEY = 128;
const LONGEST_TAG_VALUE = 256;

/** @throws UsageError naming the option, what it must be and what it is. */
export function readTableSettings(
  options: LeaseTableOptions,
  capacity: { readonly readCapacity: number; readonly writeCapacity: number },
): TableSettings {
  const billingMode = checkWord('billingMode', options.billingMode, ['PAY_PER_REQUEST', 'PROVISIONED']);
  return {
    throughput: billingMode === 'PROVISIONED' ? capacity : undefined,
    deletionProtection: checkFlag(
      'leaseTableDeletionProtectionEnabled',
      options.leaseTableDeletionProtectionEnabled,
      false,
    ),
    pointInTimeRecovery: checkFlag('leaseTablePitrEnabled', options.leaseTablePitrEnabled, false),
    tags: readTags(options.tags),
  };
}

function readTags(tags: unknown): Readonly<Record<string, string>> {
  if (tags === undefined) return {};
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) {
    throw new UsageError('tags', 'an object of texts by key, such as { team: "billing" }', describe(tags));
  }
  const entries = Object.entries(tags as Readonly<Record<string, unknown>>);
  if (entries.length > MOST_TAGS) throw new UsageError('tags', `at most ${MOST_TAGS}`, String(entries.length));
  return Object.fromEntries(entries.map(([key, value]) => readTag(key, value)));
}

function readTag(key: string, value: unknown): readonly [string, string] {
  if (key === '' || key.length > LONGEST_TAG_KEY || key.startsWith('aws:')) {
    throw new UsageError(
      'tags',
      `keys of 1 to ${LONGEST_TAG_KEY} characters that don't begin with aws:`,
      describe(key),
    );
  }
  if (typeof value === 'string' && value.length <= LONGEST_TAG_VALUE) return [key, value];
  throw new UsageError(`tags.${key}`, `a text of up to ${LONGEST_TAG_VALUE} characters`, describe(value));
}
