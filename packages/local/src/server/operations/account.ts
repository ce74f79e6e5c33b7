// DescribeLimits, DescribeAccountSettings, UpdateAccountSettings: the account as a whole.
import {
  type AccountSettings,
  commitmentStatus,
  withCommitment,
  withoutCommitment,
} from '../../model/account-settings.ts';
import { oneOf, required, structure } from '../input-check.ts';
import { Timestamp, type WireObject } from '../wire-format.ts';
import { type Answer, members, type OperationTable, operation } from './operation.ts';

const describeLimits = operation({}, (_, { model, now }) => {
  const { shardLimit, openShardCount, onDemandStreamCount, onDemandStreamLimit } = model.usage(now);
  return members({
    ShardLimit: shardLimit,
    OpenShardCount: openShardCount,
    OnDemandStreamCount: onDemandStreamCount,
    OnDemandStreamCountLimit: onDemandStreamLimit,
  });
});

const describeAccountSettings = operation({}, (_, { model, now }) => settingsAnswer(model.accountSettings, now));

const updateAccountSettings = operation(
  { MinimumThroughputBillingCommitment: required(structure({ Status: required(oneOf('ENABLED', 'DISABLED')) })) },
  ({ MinimumThroughputBillingCommitment: { Status } }, { model, now }) => {
    model.setAccount((settings) =>
      Status === 'ENABLED' ? withCommitment(settings, now) : withoutCommitment(settings, now),
    );
    return settingsAnswer(model.accountSettings, now);
  },
);

export const accountOperations: OperationTable = {
  DescribeLimits: describeLimits,
  DescribeAccountSettings: describeAccountSettings,
  UpdateAccountSettings: updateAccountSettings,
};

function settingsAnswer(settings: AccountSettings, now: number): Answer {
  return members({ MinimumThroughputBillingCommitment: commitmentMembers(settings, now) });
}

function commitmentMembers(settings: AccountSettings, now: number): WireObject {
  const Status = commitmentStatus(settings, now);
  if (settings.commitment === null) return { Status };
  const { startedMs, earliestEndMs, endMs } = settings.commitment;
  return {
    Status,
    StartedAt: new Timestamp(startedMs),
    EarliestAllowedEndAt: new Timestamp(earliestEndMs),
    EndedAt: Status === 'DISABLED' && endMs !== null ? new Timestamp(endMs) : undefined,
  };
}
