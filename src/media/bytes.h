/* bytes.h - numbers in files: big and little endian, read and put. No bounds are checked here. Pure functions. */
#ifndef ATL_MEDIA_BYTES_H
#define ATL_MEDIA_BYTES_H

#include "base/buf.h"

static inline uint32_t atl_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t atl_be32(const uint8_t *p)
{
	return atl_be16(p) << 16 | atl_be16(p + 2);
}
static inline uint32_t atl_le16(const uint8_t *p)
{
	return (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t atl_le32(const uint8_t *p)
{
	return atl_le16(p + 2) << 16 | atl_le16(p);
}

static inline void atl_buf_add_be16(struct atl_buf *out, uint32_t n)
{
	atl_buf_addc(out, (char)(n >> 8));
	atl_buf_addc(out, (char)n);
}
static inline void atl_buf_add_be32(struct atl_buf *out, uint32_t n)
{
	atl_buf_add_be16(out, n >> 16);
	atl_buf_add_be16(out, n & 0xffff);
}
static inline void atl_buf_add_le24(struct atl_buf *out, uint32_t n)
{
	atl_buf_addc(out, (char)n);
	atl_buf_addc(out, (char)(n >> 8));
	atl_buf_addc(out, (char)(n >> 16));
}
static inline void atl_buf_add_le32(struct atl_buf *out, uint32_t n)
{
	atl_buf_add_le24(out, n & 0xffffff);
	atl_buf_addc(out, (char)(n >> 24));
}

#endif
