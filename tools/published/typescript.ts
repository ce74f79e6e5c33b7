import * as producer from '@shardline/producer';

console.log(Object.keys(producer));
