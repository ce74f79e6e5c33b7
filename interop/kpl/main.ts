// `npm run interop:kpl`: the native KPL and our producer put into one stream while it is split and merged, and the Java KCL and our
// consumer read it; prints what is wrong, and last a line of JSON with the counts. The exit code is 1 when a record is missing.
import { startLocalKinesis } from '@shardline/local';
import { startDynamoDBLocal } from '../dynamodb-local/dynamodb-local.ts';
import { playBesideOurs } from './beside-ours.ts';

// It runs on Node 20 as well; the SDK's advice to upgrade would be its first output.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const dynamoDB = await startDynamoDBLocal();
const kinesis = await startLocalKinesis({ tlsPort: 0 });
try {
  const { faults, ...outcome } = await playBesideOurs({ kinesis, dynamoDBEndpoint: dynamoDB.endpoint }, 'beside-ours');
  for (const fault of faults) console.log(`! ${fault}`);
  console.log(JSON.stringify(outcome));
  process.exitCode = outcome.ok ? 0 : 1;
} finally {
  await kinesis.close();
  await dynamoDB.close();
}
