// The CRD's own schema as findings, in the words of the other rules.
import type { ErrorObject } from 'ajv';
import { validate } from '../../validator.gen.js';
import { error, type Finding } from './finding.ts';

/** What a pattern says that does not fit. */
export const malformed = 'is malformed';

function fromSchema(failure: ErrorObject): Finding {
  const path = failure.instancePath
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.')
    .replaceAll('~1', '/')
    .replaceAll('~0', '~');
  const description: unknown = failure.parentSchema?.['description'];
  const meaning = typeof description === 'string' ? description : 'see kubectl explain';
  if (failure.keyword === 'required') {
    const missing = String(failure.params['missingProperty']);
    const field = path === '' ? missing : `${path}.${missing}`;
    return error(field, undefined, 'is required', `add it to ${path === '' ? 'the object' : path}`);
  }
  if (failure.keyword === 'enum') {
    const allowed = (failure.params['allowedValues'] as unknown[]).join(', ');
    return error(path, failure.data, 'is not supported', `use one of ${allowed}`);
  }
  const message = failure.keyword === 'pattern' ? malformed : (failure.message ?? 'is not valid');
  return error(path, failure.data, message, meaning);
}

/** What the schema says of an object of any shape. Status has a door and a schema check of its own. */
export function schemaFindings(next: unknown): Finding[] {
  return validate({ ...(next as object | null), status: undefined }) ? [] : (validate.errors ?? []).map(fromSchema);
}
