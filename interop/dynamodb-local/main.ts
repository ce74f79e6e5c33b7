// AWS's DynamoDB Local as a process for programs that import nothing from here: prints `{"endpoint": …}` and runs until SIGTERM.
import { once } from 'node:events';
import { startDynamoDBLocal } from './dynamodb-local.ts';

const { endpoint, close } = await startDynamoDBLocal();
console.log(JSON.stringify({ endpoint }));
// A listener for a signal keeps no process alive.
const alive = setInterval(() => undefined, 60_000);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
clearInterval(alive);
await close();
