// Rules on the database: where it is, what may be told to its dump tool, and the name that never moves.
import { engines } from '../engines/table.ts';
import { refusedHost } from './address.ts';
import { error, type Rule, show, warning } from './finding.ts';

const host: Rule = ({ spec }) => {
  const why = refusedHost(spec.database.host);
  return why === undefined
    ? []
    : [error('spec.database.host', spec.database.host, why, "write the server's DNS name or address")];
};

const name: Rule = ({ spec }) => {
  const value = spec.database.name;
  if (Buffer.byteLength(value) > 63)
    return [error('spec.database.name', value, 'is longer than 63 bytes', 'PostgreSQL names have at most 63 bytes')];
  if (/:\/\/|=/.test(value))
    return [error('spec.database.name', value, 'is a connection string', 'write the plain name')];
  return value.startsWith('-')
    ? [error('spec.database.name', value, 'starts with -, as an option does', 'write the plain name')]
    : [];
};

const image: Rule = ({ spec }) =>
  /:latest$|^[^:@]*$/.test(spec.database.image.split('/').at(-1) ?? '')
    ? [
        warning(
          'spec.database.image',
          spec.database.image,
          'its version may change under the dump',
          'name a version or a digest',
        ),
      ]
    : [];

const cluster: Rule = ({ spec }, { old }) => {
  // One that was stored while the webhook was away has its cluster pinned in status.
  const before = old?.spec.database.cluster ?? old?.status?.effective?.cluster;
  const after = spec.database.cluster;
  return before === undefined || after === undefined || before === after
    ? []
    : [
        error(
          'spec.database.cluster',
          after,
          `is immutable, it was ${show(before)}`,
          'create another DatabaseBackup instead',
        ),
      ];
};

const extraArgs: Rule = ({ spec }) => {
  const allowedArguments = engines[spec.database.engine].allowedArguments(spec.database);
  return (spec.database.extraArgs ?? []).flatMap((argument, index) => {
    const field = `spec.database.extraArgs[${index}]`;
    const [option = '', ...rest] = argument.split('=');
    const takesValue = allowedArguments[option];
    if (takesValue === undefined) {
      const allowed = Object.keys(allowedArguments).join(', ');
      return [
        error(
          field,
          argument,
          `${option} is not in the allow-list of ${spec.database.engine}`,
          `use one of ${allowed}`,
        ),
      ];
    }
    if (takesValue === rest.length > 0) return [];
    return [
      takesValue
        ? error(field, argument, 'needs a value', `write ${option}=VALUE in one item`)
        : error(field, argument, 'takes no value', `write ${option}`),
    ];
  });
};

export const databaseRules: readonly Rule[] = [host, name, image, cluster, extraArgs];
