/* xmp.c - see xmp.h. */
#include "media/xmp.h"

#include "base/str.h"

#define SOURCE_TYPE "http://cv.iptc.org/newscodes/digitalsourcetype/"
#define URI_WITHIN 300 /* bytes after the property's name in which its URI is */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One reference ("&amp;", "&#10;") at `p`, appended; returns how many bytes it is. What is unknown stays as it is. */
static size_t add_reference(struct atl_buf *out, const char *p)
{
	static const struct {
		const char *name;
		char c;
	} names[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	for (size_t i = 0; i < ATL_COUNT(names); i++)
		if (atl_str_starts(p, names[i].name)) {
			atl_buf_addc(out, names[i].c);
			return strlen(names[i].name);
		}
	if (p[1] == '#') {
		unsigned base = p[2] == 'x' ? 16 : 10, n = 0;
		size_t at = base == 16 ? 3 : 2, start = at;
		for (; at - start < 4; at++) {
			int digit = p[at] >= '0' && p[at] <= '9'		   ? p[at] - '0'
				    : base == 16 && p[at] >= 'a' && p[at] <= 'f' ? p[at] - 'a' + 10
				    : base == 16 && p[at] >= 'A' && p[at] <= 'F' ? p[at] - 'A' + 10
										   : -1;
			if (digit < 0)
				break;
			n = n * base + (unsigned)digit;
		}
		if (at > start && p[at] == ';' && n > 0 && n < 0x80) { /* line ends and the like; the rest is UTF-8 */
			atl_buf_addc(out, (char)n);
			return at + 1;
		}
	}
	atl_buf_addc(out, '&');
	return 1;
}

/* Text from `p` to the character `end` (a quote), or to the element's closing tag when `end` is '<'. */
static const char *take_text(struct atl_arena *arena, const char *p, char end, const char *name)
{
	struct atl_buf out;
	size_t name_length = strlen(name);
	atl_buf_init(&out, strlen(p) + 1);
	while (*p && !out.failed) {
		if (*p == end && end != '<')
			break;
		if (*p == '<' && end == '<') {
			if (p[1] == '/' && strncmp(p + 2, name, name_length) == 0)
				break;
			p += strcspn(p, ">");
			p += *p == '>';
		} else if (*p == '&') {
			p += add_reference(&out, p);
		} else {
			atl_buf_addc(&out, *p++);
		}
	}
	const char *text = out.length ? out.data : "", *stop = text + out.length;
	while (text < stop && is_space(*text))
		text++;
	while (stop > text && is_space(stop[-1]))
		stop--;
	const char *ret = *p && stop > text ? atl_arena_strndup(arena, text, (size_t)(stop - text)) : NULL;
	atl_buf_finish(&out);
	return ret;
}

const char *atl_xmp_get(struct atl_arena *arena, const char *packet, const char *name)
{
	for (const char *p = strstr(packet, name); p; p = strstr(p + 1, name)) {
		if (p == packet || (p[-1] != '<' && !is_space(p[-1])))
			continue;
		const char *after = p + strlen(name);
		bool element = p[-1] == '<';
		if (element) {
			const char *close = after + strcspn(after, "<>");
			if (*close == '>' && close[-1] != '/' && (close == after || is_space(*after)))
				return take_text(arena, close + 1, '<', name);
			continue;
		}
		after += strspn(after, " \t\r\n");
		if (*after != '=')
			continue;
		after++;
		after += strspn(after, " \t\r\n");
		if (*after == '"' || *after == '\'')
			return take_text(arena, after + 1, *after, name);
	}
	return NULL;
}

bool atl_xmp_ai_marked(const char *packet)
{
	static const char *const machine[] = {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia",
					      "algorithmicMedia", "compositeSynthetic"};
	static const char vocabulary[] = "digitalsourcetype/";
	for (const char *p = strstr(packet, "DigitalSourceType"); p; p = strstr(p + 1, "DigitalSourceType")) {
		const char *uri = memmem(p, strnlen(p, URI_WITHIN), vocabulary, sizeof vocabulary - 1);
		if (!uri)
			continue;
		const char *term = uri + sizeof vocabulary - 1;
		size_t length = strspn(term, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
		for (size_t i = 0; i < ATL_COUNT(machine); i++)
			if (strlen(machine[i]) == length && memcmp(term, machine[i], length) == 0)
				return true;
	}
	return false;
}

static void add_escaped(struct atl_buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '&')
			atl_buf_adds(out, "&amp;");
		else if (c == '<')
			atl_buf_adds(out, "&lt;");
		else if (c == '>')
			atl_buf_adds(out, "&gt;");
		else if (c >= 0x20 || c == '\n' || c == '\t') /* XML has no words for the others */
			atl_buf_addc(out, *text);
	}
}

void atl_xmp_write(struct atl_buf *out, bool composite, const char *atelier)
{
	atl_buf_adds(out, "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
			  "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
			  "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
			  "<rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\""
			  " xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"");
	if (atelier)
		atl_buf_adds(out, " xmlns:atelier=\"urn:atelier:recall:1#\"");
	atl_buf_addf(out, " xmp:CreatorTool=\"Atelier\" Iptc4xmpExt:DigitalSourceType=\"" SOURCE_TYPE "%s\"",
		     composite ? "compositeWithTrainedAlgorithmicMedia" : "trainedAlgorithmicMedia");
	if (atelier) {
		atl_buf_adds(out, ">\n<" ATL_XMP_RECALL ">");
		add_escaped(out, atelier);
		atl_buf_adds(out, "</" ATL_XMP_RECALL ">\n</rdf:Description>\n");
	} else {
		atl_buf_adds(out, "/>\n");
	}
	atl_buf_adds(out, "</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"w\"?>");
}
