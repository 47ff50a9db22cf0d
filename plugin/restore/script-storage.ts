// The part of the restore script that knows the store: check_storage, fetch_manifest and fetch_data. Pure.

import { quote } from '../../crds/rules/engines/quote.ts';
import { blobService, type Place } from './place.ts';
import type { Plan } from './plan.ts';

type Of<Kind extends Place['kind']> = Extract<Place, { kind: Kind }>;

/** What to try when the download fails. */
function loginFix(plan: Plan, text: string): string {
  const secret = plan.secrets.find(({ purpose }) => purpose === 'storage');
  const example = secret && `, for example that of Secret ${plan.namespace}/${secret.name} (${secret.keys.join(', ')})`;
  return quote(text + (example ?? ''));
}

/** Both objects by one function `fetch KEY FILE`. */
const fetchBoth = `fetch_manifest() { fetch "$path.json" "$work/manifest"; }
fetch_data() {
  say "downloading $stored_size bytes"
  fetch "$path" "$work/stored"
  data=$work/stored
}
`;

function s3(place: Of<'s3'>, plan: Plan): string {
  const fix = loginFix(
    plan,
    'give aws a login that may read it (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)',
  );
  const options = [
    '--only-show-errors',
    `--region=${quote(place.region)}`,
    // The store may have another address from here than from the cluster, behind a port-forward for example.
    ...(place.endpoint === undefined ? [] : ['--endpoint-url="$endpoint"']),
  ].join(' ');
  return `
fetch_from=${quote(`s3://${place.bucket}`)}
endpoint=\${AWS_ENDPOINT_URL_S3:-${quote(place.endpoint ?? '')}}
check_storage() { :; }
# fetch KEY FILE
fetch() {
  aws s3 cp ${options} "$fetch_from/$1" "$2" || stop "cannot download $fetch_from/$1" ${fix}
}
${fetchBoth}`;
}

function gcs(place: Of<'gcs'>, plan: Plan): string {
  const fix = loginFix(
    plan,
    'give gcloud a login that may read it (gcloud auth login, or CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE with the file of a key)',
  );
  // gcloud takes another address from this variable alone; what a person has set stays.
  const endpoint =
    place.endpoint === undefined
      ? ''
      : `
CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=\${CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE:-${quote(`${place.endpoint}/storage/v1/`)}}
export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE`;
  return `
fetch_from=${quote(`gs://${place.bucket}`)}${endpoint}
check_storage() { :; }
# fetch KEY FILE
fetch() {
  gcloud --quiet --no-user-output-enabled storage cp "$fetch_from/$1" "$2" || stop "cannot download $fetch_from/$1" ${fix}
}
${fetchBoth}`;
}

function azure(place: Of<'azure'>, plan: Plan): string {
  const fix = loginFix(
    plan,
    'give az a login that may read it (AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING; or az login and AZURE_STORAGE_AUTH_MODE=login)',
  );
  const options = [
    '--only-show-errors',
    '--no-progress',
    '--output=none',
    `--account-name=${quote(place.account)}`,
    ...(place.endpoint === undefined ? [] : ['--blob-endpoint="$endpoint"']),
    `--container-name=${quote(place.container)}`,
  ].join(' ');
  return `
fetch_from=${quote(`${blobService(place)}/${place.container}`)}
endpoint=\${AZURE_STORAGE_SERVICE_ENDPOINT:-${quote(place.endpoint ?? '')}}
check_storage() { :; }
# fetch KEY FILE
fetch() {
  az storage blob download ${options} --name="$1" --file="$2" || stop "cannot download $fetch_from/$1" ${fix}
}
${fetchBoth}`;
}

function directory(claimName: string, namespace: string): string {
  const mounted = `set VOLUME_DIR to the directory where the claim ${namespace}/${claimName} is mounted`;
  return `
check_storage() {
  [ -n "\${VOLUME_DIR:-}" ] || stop "VOLUME_DIR is not set" ${quote(mounted)}
  [ -d "$VOLUME_DIR" ] || stop "VOLUME_DIR $VOLUME_DIR is no directory" ${quote(mounted)}
}
fetch_manifest() {
  cat "$VOLUME_DIR/$path.json" > "$work/manifest" || stop "cannot read $VOLUME_DIR/$path.json" ${quote(mounted)}
}
# The snapshot is read where it lies.
fetch_data() {
  data=$VOLUME_DIR/$path
  [ -r "$data" ] || stop "cannot read $data" ${quote(mounted)}
}
`;
}

export function fetching(plan: Plan): string {
  const { place } = plan;
  switch (place.kind) {
    case 's3':
      return s3(place, plan);
    case 'gcs':
      return gcs(place, plan);
    case 'azure':
      return azure(place, plan);
    case 'pvc':
      return directory(place.claimName, plan.namespace);
  }
}
