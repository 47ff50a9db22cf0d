// The kinds of database that dbbackup knows, by the name that a manifest gives them.
import { command } from './command.ts';
import type { Engine } from './engine.ts';
import { mariadb } from './mariadb.ts';
import { mongodb } from './mongodb.ts';
import { mysql } from './mysql.ts';
import { openbao } from './openbao.ts';
import { postgres } from './postgres.ts';
import { redis } from './redis.ts';

export const engines = { postgres, mysql, mariadb, mongodb, redis, openbao, command } as const satisfies Record<
  string,
  Engine
>;

export type EngineName = keyof typeof engines;
