// The release that this source is.

export const release = '0.1.0';
