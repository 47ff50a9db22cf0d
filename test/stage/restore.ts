// What a person sets before running the printed restore commands on the machine in front of them.
import { database, store } from './manifests.ts';
import type { Team } from './team.ts';

/** Variables of psql, aws and age, by way of the team's port-forwards. */
export function restoreVariables(team: Team, databaseName: string, identityFile: string): Record<string, string> {
  return {
    PGHOST: '127.0.0.1',
    PGPORT: String(team.forwards.database.port),
    PGUSER: database.user,
    PGPASSWORD: database.password,
    PGDATABASE: databaseName,
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${team.forwards.store.port}`,
    AGE_IDENTITY_FILE: identityFile,
  };
}
