const { Producer } = require('@shardline/producer');
console.log(typeof Producer);
