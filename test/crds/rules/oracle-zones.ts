// The zones whose clock changes between 2020 and 2040, under every name they have.
import { changing } from './oracle-history.ts';

export const begin = Date.UTC(2020, 0, 1);
export const end = Date.UTC(2041, 0, 1);

/** Names beside those that Intl tells: old ones, and new ones that ICU knows but calls by the old. */
const aliases = [
  ...['Atka', 'Ensenada', 'Fort_Wayne', 'Indiana/Indianapolis', 'Kentucky/Louisville', 'Knox_IN', 'Montreal'],
  ...['Nipigon', 'Nuuk', 'Pangnirtung', 'Rainy_River', 'Santa_Isabel', 'Shiprock', 'Thunder_Bay', 'Yellowknife'],
]
  .map((name) => `America/${name}`)
  .concat(
    ['ACT', 'Canberra', 'Currie', 'LHI', 'NSW', 'South', 'Tasmania', 'Victoria', 'Yancowinna'].map(of('Australia')),
  )
  .concat(['Atlantic', 'Central', 'Eastern', 'Mountain', 'Newfoundland', 'Pacific', 'Yukon'].map(of('Canada')))
  .concat(['Belfast', 'Kyiv', 'Nicosia', 'Tiraspol', 'Uzhgorod', 'Zaporozhye'].map(of('Europe')))
  .concat(['Alaska', 'Aleutian', 'Central', 'East-Indiana', 'Eastern', 'Indiana-Starke', 'Michigan'].map(of('US')))
  .concat(['US/Mountain', 'US/Pacific', 'Mexico/BajaNorte', 'Mexico/BajaSur', 'Mexico/General', 'Chile/Continental'])
  .concat(['Chile/EasterIsland', 'Antarctica/South_Pole', 'Asia/Tel_Aviv', 'Atlantic/Faroe', 'Atlantic/Jan_Mayen'])
  .concat(['CET', 'CST6CDT', 'Cuba', 'EET', 'EST5EDT', 'Egypt', 'Eire', 'GB', 'GB-Eire', 'Iran', 'Israel', 'MET'])
  .concat(['MST7MDT', 'NZ', 'NZ-CHAT', 'Navajo', 'PST8PDT', 'Poland', 'Portugal', 'WET']);

function of(area: string): (name: string) => string {
  return (name) => `${area}/${name}`;
}

export const names: readonly string[] = [...new Set([...Intl.supportedValuesOf('timeZone'), ...aliases])];

/**
 * What the names come to: zones that show the same at every instant of these years are one case, since the rules of schedules know
 * nothing of a zone but its offsets.
 */
export const cases = changing(names, begin, end);
