// MySQL: mysqldump. The server's identity is its server_uuid.
import { mysqlFamily } from './mysql-family.ts';

export const mysql = mysqlFamily({
  name: 'mysql',
  dumpTools: ['mysqldump'],
  clients: ['mysql'],
  choices: ['ignore-table'],
  switches: [],
});
