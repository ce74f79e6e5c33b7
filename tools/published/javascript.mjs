import { Producer } from '@shardline/producer';

console.log(typeof Producer);
