// The kinds of database that dbbackup knows, by the name that a manifest gives them.
import type { Engine } from './engine.ts';
import { postgres } from './postgres.ts';

export const engines = { postgres } as const satisfies Record<string, Engine>;

export type EngineName = keyof typeof engines;
