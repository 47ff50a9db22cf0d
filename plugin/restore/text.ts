// What `restore-locate` tells a person and, as data, a program: where the snapshot is, what would be lost, what is needed. Pure.

import { word } from '../../crds/rules/engines/quote.ts';
import { contentName, serverName } from '../content.ts';
import { local, size, span, utcAndLocal } from '../output/quantities.ts';
import { fields } from '../output/table.ts';
import { type Plan, urlOf } from './plan.ts';

export interface Reader {
  now: Date;
  zone: string;
  /** ` --context x`, for the command that we print. */
  flags: string;
}

function command(plan: Plan, flags: string): string {
  const options = `-n ${word(plan.namespace)}${flags} --snapshot ${plan.snapshot.id} -o shell`;
  return `kubectl dbbackup restore-locate ${word(plan.backup)} ${options} | sh`;
}

function lost(plan: Plan, now: Date): string {
  const since = span(now.getTime() - plan.snapshot.time.getTime());
  const about = plan.snapshot.isExact ? '' : ', the exact time is in the manifest';
  return `what was written in the last ${since} (since ${local(plan.snapshot.time, 'UTC')} UTC${about})`;
}

function where({ place, namespace }: Plan): [string, string][] {
  if (place.kind === 'pvc') return [['Claim', `${namespace}/${place.claimName}`]];
  if (place.kind === 'azure') return [['Account', place.account]];
  if (place.kind === 'gcs') return place.endpoint === undefined ? [] : [['Endpoint', place.endpoint]];
  return [['Region', place.endpoint === undefined ? place.region : `${place.region}, endpoint ${place.endpoint}`]];
}

function encryption({ isEncrypted, recipients }: Plan): string {
  if (!isEncrypted) return 'no';
  return `with age; needs the identity of one of ${recipients.join(', ') || 'its recipients'}`;
}

function facts(plan: Plan, { now, zone }: Reader): string {
  const { snapshot, source } = plan;
  const { details } = snapshot;
  const version = details?.engineVersion === undefined ? '' : ` ${details.engineVersion}`;
  return fields([
    ['Snapshot', snapshot.id],
    ['Backup', `${plan.namespace}/${plan.backup}`],
    ['Taken', utcAndLocal(snapshot.time, zone)],
    ['Lost', lost(plan, now)],
    ['Database', `${contentName(source)} on ${serverName(source)} (${plan.engine}${version})`],
    ['Data', urlOf(plan)],
    ['Manifest', `${urlOf(plan)}.json`],
    ...where(plan),
    [
      'Size',
      `${size(snapshot.storedSize)} stored${details?.size === undefined ? '' : `, ${size(details.size)} as a dump`}`,
    ],
    ['SHA-256', details?.sha256 ?? 'in the manifest'],
    ['Encrypted', encryption(plan)],
  ]);
}

function needs(plan: Plan): string {
  const secrets = plan.secrets.map(({ purpose, name, keys }): [string, string] => [
    `Secret ${plan.namespace}/${name}`,
    `${purpose} (${keys.join(', ')})`,
  ]);
  return fields([['Tools', [...plan.tools, 'sha256sum or shasum'].join(', ')], ...secrets]);
}

function steps(plan: Plan, flags: string): string {
  return [
    'Restore into the database that these variables name; the source is never a default:',
    ...plan.byHand.exports.map((line) => `  ${line}`),
    ...(plan.isEncrypted ? ['  export AGE_IDENTITY_FILE=...'] : []),
    ...(plan.place.kind === 'pvc' ? ['  export VOLUME_DIR=...   # where the claim is mounted'] : []),
    `  ${command(plan, flags)}`,
  ].join('\n');
}

export function describePlan(plan: Plan, reader: Reader): string {
  return [facts(plan, reader), needs(plan), steps(plan, reader.flags)].join('\n\n');
}

/** The same facts for programs. */
export function planData(plan: Plan, { now, flags }: Reader): object {
  const { snapshot, place, path, source, tools, secrets, namespace, backup, engine } = plan;
  return {
    ...{ namespace, backup, snapshot: snapshot.id, listed: snapshot.isListed },
    ...{ time: snapshot.time.toISOString(), timeIsDumpStart: snapshot.isExact },
    lostSeconds: Math.max(0, Math.floor((now.getTime() - snapshot.time.getTime()) / 1000)),
    ...{ engine, source },
    storage: { ...place, data: path, manifest: `${path}.json` },
    ...{ storedSize: snapshot.storedSize, size: snapshot.details?.size, sha256: snapshot.details?.sha256 },
    encryption: { encrypted: plan.isEncrypted, recipients: plan.recipients },
    ...{ tools, secrets },
    command: command(plan, flags),
  };
}
