// What OpenAI's own SDK for JavaScript makes of our answers: calls come as JSON by stdin, outcomes go as JSON by stdout.
import { readFileSync } from 'node:fs';
import OpenAI, { toFile } from 'openai';

const { options, recording, calls } = JSON.parse(readFileSync(0, 'utf8'));
const client = new OpenAI(options);
const { speech, transcriptions, translations } = client.audio;
const file = () => toFile(readFileSync(recording), 'a.wav');

async function gathered(stream) {
  const all = [];
  for await (const each of stream) all.push(each);
  return all;
}

const acts = {
  async speech(wanted, sent) {
    const answer = await speech.create(wanted, sent);
    const audio = Buffer.concat(await gathered(answer.body));
    return { type: answer.headers.get('content-type'), audio: audio.toString('base64') };
  },
  transcription: async (wanted, sent) => transcriptions.create({ file: await file(), ...wanted }, sent),
  events: async (wanted) => gathered(await transcriptions.create({ file: await file(), stream: true, ...wanted })),
  translation: async (wanted) => translations.create({ file: await file(), ...wanted }),
  models: async () => (await gathered(client.models.list())).map((model) => model.id),
  model: ({ id }) => client.models.retrieve(id),
};

const outcomes = [];
for (const [name, wanted, sent] of calls) {
  try {
    outcomes.push({ found: await acts[name](wanted, sent) });
  } catch (error) {
    const { status, code, param, type, requestID } = error;
    outcomes.push({ raised: error.constructor.name, status, code, param, type, requestID });
  }
}
console.log(JSON.stringify(outcomes));
