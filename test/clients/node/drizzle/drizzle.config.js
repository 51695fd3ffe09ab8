module.exports = { dialect: 'postgresql', schema: './schema.ts', out: './out', dbCredentials: { url: process.env.DATABASE_URL } };
