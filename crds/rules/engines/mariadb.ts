// MariaDB: mariadb-dump, which older images call mysqldump. A server has no identity of its own.
import { mysqlFamily } from './mysql-family.ts';

export const mariadb = mysqlFamily({
  name: 'mariadb',
  dumpTools: ['mariadb-dump', 'mysqldump'],
  clients: ['mariadb', 'mysql'],
  choices: ['ignore-table', 'ignore-table-data'],
  switches: ['dump-history'],
});
