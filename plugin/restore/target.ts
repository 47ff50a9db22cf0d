// How each engine's own client names the database to restore into, in the words of a shell and of a person.
import type { EngineName } from '../../crds/rules/engines/table.ts';

export interface Target {
  /** Shell text for the end of "restored snapshot x into ...". */
  phrase: string;
  /** Lines that a person fills in before the restore. */
  exports: string[];
  /** What to try when the restore itself fails. */
  fix: string;
}

export const targets: Record<EngineName, Target> = {
  postgres: {
    phrase: '$PGDATABASE on $PGHOST',
    exports: ['export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=...', 'export PGDATABASE=...   # an empty database'],
    fix: "nothing was changed, it is one transaction; where the target lacks the roles of the source set PG_RESTORE_ARGS='--no-owner --no-acl'",
  },
};
