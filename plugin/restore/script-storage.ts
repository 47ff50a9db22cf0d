// The part of the restore script that knows the store: check_storage, fetch_manifest and fetch_data. Pure.

import { quote } from '../../crds/rules/engines/quote.ts';
import type { Place, Plan } from './plan.ts';

type S3 = Extract<Place, { kind: 's3' }>;

function s3(place: S3, plan: Plan): string {
  const secret = plan.secrets.find(({ purpose }) => purpose === 'storage');
  const example = secret === undefined ? '' : `, for example those of Secret ${plan.namespace}/${secret.name}`;
  const fix = `give aws a login that may read it (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)${example}`;
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
  aws s3 cp ${options} "$fetch_from/$1" "$2" || stop "cannot download $fetch_from/$1" ${quote(fix)}
}
fetch_manifest() { fetch "$path.json" "$work/manifest"; }
fetch_data() {
  say "downloading $stored_size bytes"
  fetch "$path" "$work/stored"
  data=$work/stored
}
`;
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
  return place.kind === 's3' ? s3(place, plan) : directory(place.claimName, plan.namespace);
}
